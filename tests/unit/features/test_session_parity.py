"""What the online store holds of a session equals what training computes from the log."""

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.events import EventKind
from models.session import SESSION_LENGTH, SessionFeatures, session_features, taste_vector
from services.common.database import open_database
from services.features.event_log import EventLog
from services.features.events import Event
from services.features.repo.config import repo_config
from services.features.sessions import Session
from services.features.store import FeastStore
from tests.contract.feature_fixtures import MakeSettings
from training.data import InteractionData
from training.sequences import EventSequences, event_sequences

USERS = 3


def random_log(seed: int) -> list[Event]:
    """Events of all kinds in bursts and pauses, late and simultaneous ones among them."""
    generator = np.random.default_rng(seed)
    pauses = generator.choice([0, 0, 1, 40, 700, 1_801, 9_000, 90_000], 450).astype(float)
    times = 1.6e9 + np.cumsum(pauses * generator.uniform(0.5, 1.5, 450))
    late = generator.random(450) < 0.1
    times[late] -= generator.uniform(0, 5_000, late.sum())
    kinds = generator.choice([int(kind) for kind in EventKind], 450).tolist()
    return [
        Event(
            f"e{n}",
            f"u{generator.integers(USERS)}",
            f"i{generator.integers(25)}",
            kinds[n],
            float(np.float32(generator.uniform(0, 5))),
            times[n],
        )
        for n in range(450)
    ]


def training_log(log: EventLog) -> tuple[EventSequences, list[str]]:
    """The log as training reads it, and its items by row."""
    frame = log.read_frame()
    users = [f"u{n}" for n in range(USERS)]
    frame["user_id"] = frame["user_id"].cat.set_categories(users)
    items = pd.DataFrame({"item_id": list(frame["item_id"].cat.categories)})
    data = InteractionData(frame, items, pd.DataFrame({"user_id": users}))
    return event_sequences(data), items["item_id"].tolist()


def trained_on(
    sequences: EventSequences, user: int
) -> tuple[SessionFeatures, tuple[list[int], NDArray[np.float32]], float]:
    """What training's path gives for a user after the last event of the log."""
    end = sequences.offsets[user + 1]
    moment = sequences.times[end - 1 : end]
    begin = max(int(sequences.offsets[user]), int(end) - SESSION_LENGTH)
    users, ends = np.array([user]), np.array([end])
    columns = sequences.session_columns(users, ends, moment)
    batch = sequences.histories(users, ends, moment, [""], SESSION_LENGTH, columns)
    values = np.zeros((1, SESSION_LENGTH), np.float32)
    values[0, : end - begin] = sequences.values[begin:end][::-1]
    length = end - begin
    rows = batch.rows[0, :length][::-1].tolist()
    taste = taste_vector(rows, batch.kinds[0, :length][::-1], batch.ages[0, :length][::-1])
    features = session_features(batch.kinds, batch.ages, values)
    np.testing.assert_array_equal(features.columns, columns)  # what the towers read
    return features, taste, float(moment[0])


def assert_same(session: Session, sequences: EventSequences, items: list[str], user: int) -> None:
    features, (rows, weights), moment = trained_on(sequences, user)
    counts = [session.counts_minutes, session.counts_hours, session.counts_days]
    assert counts == features.counts[0].tolist()
    assert session.hours_watched == features.hours[0].tolist()
    assert session.session_start == moment - float(features.length[0])
    taste = dict(zip(session.taste_item_ids, session.taste_weights, strict=True))
    assert taste == dict(zip((items[row] for row in rows), weights.tolist(), strict=True))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(20, 450))
def test_a_computed_session_equals_training_at_any_cut_of_any_log(seed: int, cut: int) -> None:
    engine = open_database("sqlite://")
    log = EventLog(engine)
    log.append(random_log(seed)[:cut])
    sequences, items = training_log(log)
    for user in np.flatnonzero(np.diff(sequences.offsets)).tolist():
        session = Session.of(log.history(f"u{user}", SESSION_LENGTH))
        assert_same(session, sequences, items, user)
    engine.dispose()


async def test_the_row_in_the_store_equals_training(
    make_settings: MakeSettings, sqlite_url: str, tmp_path: Path
) -> None:
    engine, store = open_database(sqlite_url), FeastStore(repo_config(make_settings()))
    await store.open()
    log, events = EventLog(engine), random_log(11)
    for begin, end in ((0, 120), (120, 121), (121, 450)):
        log.append(events[begin:end])
        users = [f"u{user}" for user in range(USERS)]
        histories = [log.history(user_id, SESSION_LENGTH) for user_id in users]
        await store.push_sessions(dict(zip(users, Session.of_all(histories), strict=True)))
        sequences, items = training_log(log)
        for user, user_id in enumerate(users):
            assert_same((await store.read_user(user_id, ""))[0], sequences, items, user)
    await store.close()
    engine.dispose()
