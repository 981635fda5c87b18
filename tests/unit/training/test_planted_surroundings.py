"""In a world where people follow friends and regions have hits, both are worth something."""

from pathlib import Path

import pytest

from training.data import item_table
from training.friends import Friends
from training.lift import part_lift
from training.protocols import stream
from training.readers import read
from training.sequences import event_sequences
from training.synthetic import Habits, write_world
from training.tandem_models import SharedFit


@pytest.mark.slow
def test_friends_and_the_region_each_add_to_what_a_stream_of_events_is_predicted_with(
    tmp_path: Path,
) -> None:
    habits = Habits(from_friend=0.2, regional_hit=0.25, hit_days=15)
    data = read(write_world(tmp_path, n_users=400, habits=habits).path)
    fold = stream(event_sequences(data)).test
    shared = SharedFit(item_table(data), friends=Friends.of(data.users))
    fit = shared.of(fold.train)
    parts = part_lift(fit, shared.config, fit.around.of(fold.queries), lambda *_: None)
    for name in ("friends", "trend_here"):
        added = parts["all"]["ndcg@10"] - parts[name]["without"]["ndcg@10"]
        assert added > 0.003, f"{name} adds {added:.4f}"
