"""`tandem evaluate --served`: agrees with exact scores, and leaves nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.asking import Question, recording_steps, steps
from bench.served import events_of, ranked
from bench.temporary import temporary_state
from deploy.local.state import State
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event
from tests.e2e.conftest import COMMAND, until
from training.protocols import leave_last_out, stream, temporal
from training.readers import read
from training.sequences import event_sequences
from training.splits import thinned
from training.synthetic import World, write_world


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("small-world"), n_users=60, n_items=150, seed=5)


def test_what_is_served_is_what_the_release_scores_exactly(
    small_world: World, tmp_path: Path
) -> None:
    document = _evaluate(small_world, tmp_path, "--protocol", "leave-last-out")
    served, popularity = document["served"], document["models"]["popularity"]
    assert served["levels"] == {"LEVEL_FULL": served["requests"]}
    assert (served["questions"], served["requests"]) == (60, 120)
    assert (served["failed"], served["refused_events"], served["sampled"]) == (0, 0, False)
    assert served["ndcg@10"] == pytest.approx(served["ndcg_offline"], rel=0.01)
    assert served["hr@10"] > popularity["hr@10"]
    # All 150 items are candidates: only what a user saw before is beyond reach.
    assert served["recall@500"] == served["retrieval_recall@500"] >= served["recall@100"] > 0
    assert list(tmp_path.glob("tandem-*")) == []


@pytest.mark.slow
def test_histories_grow_with_the_stream(small_world: World, tmp_path: Path) -> None:
    served = _evaluate(small_world, tmp_path, "--protocol", "stream")["served"]
    assert served["levels"] == {"LEVEL_FULL": served["requests"]}
    # A wrong or late history of any user would show: the exact scorer reads it from the log.
    assert served["ndcg@10"] == pytest.approx(served["ndcg_offline"], rel=0.01)


@pytest.mark.slow
def test_an_end_in_the_middle_leaves_no_process_and_no_folder(
    small_world: World, tmp_path: Path
) -> None:
    with subprocess.Popen(
        _command(small_world),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stderr is not None
        assert until(lambda: len(_started_in(tmp_path)) > 1, 120)  # supervisord and a part
        (folder,) = tmp_path.glob("tandem-evaluate-*")
        process.send_signal(signal.SIGTERM)
        error = process.stderr.read()
    assert (process.returncode, error.strip()) == (130, "error: interrupted")
    assert _started_in(tmp_path) == []
    assert list(tmp_path.glob("tandem-*")) == []
    assert not State(folder / "state").runtime.exists()


def test_a_failure_within_removes_the_folder_and_gives_signals_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), temporary_state("tandem-test-") as state:
        folder = state.path.parent
        assert folder.is_dir() and signal.getsignal(signal.SIGTERM) is not before
        _ = 1 / 0
    assert not folder.exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_list_ranks_its_items_by_place_and_misses_all_others(small_world: World) -> None:
    data = read(small_world.path)
    asked = leave_last_out(event_sequences(data)).test.queries
    asked = asked.take(np.array([0, 1, 2]))
    others = np.setdiff1d(np.arange(len(data.items), dtype=np.int32), asked.targets)
    first = np.array([asked.targets[0]], np.int32)
    eleventh = np.append(others[:10], asked.targets[1]).astype(np.int32)
    metrics = ranked([first, eleventh, others], asked, len(data.items)).metrics()
    assert metrics.hr == pytest.approx(1 / 3)
    assert metrics.ndcg == pytest.approx(1 / 3)
    assert metrics.recall_100 == pytest.approx(2 / 3)
    assert metrics.coverage == pytest.approx(11 / len(data.items))


def test_thinning_keeps_whole_questions_from_first_to_last(small_world: World) -> None:
    queries = temporal(event_sequences(read(small_world.path))).test.queries
    kept = thinned(queries, 7)
    questions, _ = kept.questions()
    assert len(questions) == 7
    times = queries.questions()[0].times
    assert (questions.times.min(), questions.times.max()) == (times.min(), times.max())
    for end in questions.ends:
        assert (kept.ends == end).sum() == (queries.ends == end).sum()
    assert thinned(queries, len(queries)) is queries


def test_events_before_the_test_survive_as_a_log_of_their_own(small_world: World) -> None:
    data = read(small_world.path)
    train = stream(event_sequences(data)).test.train
    again = event_sequences(events_of(train, data))
    for name in ("offsets", "rows", "kinds", "values", "times"):
        np.testing.assert_array_equal(getattr(again, name), getattr(train, name))
    regions = [[log.region_names[code] for code in log.regions] for log in (train, again)]
    assert regions[0] == regions[1]


def test_questions_without_order_go_some_at_a_time() -> None:
    questions = [Question(place, f"u{place}", 1.0, "") for place in range(9)]
    walk = list(steps(questions))
    assert [question for step in walk for question in step.questions] == questions
    assert max(len(step.questions) for step in walk) == 4


@pytest.mark.parametrize("users", ["aaaa", "abcdef", "abab", "abcabdaaec", ""])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_each_question_finds_exactly_the_earlier_events_of_its_user(users: str, every: int) -> None:
    events = [_click(user, place) for place, user in enumerate(users)]
    questions = [
        Question(place, user, float(place), "") if place % every == 0 else None
        for place, user in enumerate(users)
    ]
    recorded: list[pb.Event] = []
    asked: list[int] = []
    for step in recording_steps(events, questions):
        for question in step.questions:
            known = [each.event_id for each in recorded if each.user_id == question.user_id]
            earlier = events[: question.place]
            assert known == [each.event_id for each in earlier if each.user_id == question.user_id]
            asked.append(question.place)
        recorded += step.events
    assert recorded == events
    assert asked == list(range(0, len(users), every))


def _click(user: str, place: int) -> pb.Event:
    return event(user, "i", EventKind.EVENT_KIND_CLICK, at=float(place + 1), event_id=f"e{place}")


def _command(world: World, *options: str) -> Sequence[str]:
    data = ("--data", str(world.path), "--models", "popularity")
    return (*COMMAND, "evaluate", *data, "--served", "--json", *options)


def _evaluate(world: World, temporary: Path, *options: str) -> Any:
    done = subprocess.run(
        _command(world, *options),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _started_in(folder: Path) -> list[psutil.Process]:
    """Processes that carry the mark of a state within a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get("TANDEM_STATE", "")
        except (psutil.Error, OSError):
            continue
        if marker.startswith(f"{folder}/"):
            found.append(process)
    return found
