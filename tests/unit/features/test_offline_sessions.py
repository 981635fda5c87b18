"""Sessions that were pushed are in Feast's offline store, as of any moment."""

import asyncio
import os
import time
from dataclasses import fields
from pathlib import Path

import feast
import pandas as pd
import pyarrow.parquet as pq
import pytest

from services.features.event_log import History
from services.features.events import Event
from services.features.metrics import LOST_OFFLINE_SESSIONS
from services.features.offline import OfflineSessions
from services.features.offline_parts import SessionParts
from services.features.repo.config import repo_config
from services.features.repo.definitions import SESSION_FOLDER
from services.features.sessions import Session
from services.features.store import FeastStore
from tests.contract.feature_fixtures import MakeSettings

NOON = 1.6e9


def session(version: int, newest: float = NOON) -> Session:
    """A session of as many events as its version says, the newest at a given time."""
    events = [
        Event(f"e{n}", "u", f"i{n}", 4, 0.0, newest - 60.0 * (version - n), "de")
        for n in range(1, version + 1)
    ]
    return Session.of(History(events, version))


def parts_in(folder: Path, days: float = 30.0, most_bytes: int = 1 << 30) -> SessionParts:
    return SessionParts(folder / SESSION_FOLDER, days, most_bytes)


def rows_in(folder: Path) -> pd.DataFrame:
    files = sorted((folder / SESSION_FOLDER).glob("*.parquet"))
    frames: list[pd.DataFrame] = [pq.read_table(file).to_pandas() for file in files]
    return pd.concat(frames, ignore_index=True)


def lost() -> float:
    return float(LOST_OFFLINE_SESSIONS._value.get())


async def test_a_session_is_found_as_it_was_at_a_moment(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings()
    store = FeastStore(repo_config(settings))
    await store.open()
    await store.close()
    offline = OfflineSessions(parts_in(settings.store_root))
    offline.start()
    offline.add({"u": session(1, NOON), "v": session(2, NOON)})
    offline.add({"u": session(2, NOON + 100)})
    offline.add({"u": session(3, NOON + 100)})  # a late event: the newest one is the same
    offline.add({"u": session(4, NOON + 200.5)})
    await offline.close()
    # Feast leaves out a moment before which there is nothing.
    asked = {NOON - 1: None, NOON + 50: 1, NOON + 100: 3, NOON + 200: 3, NOON + 201: 4}
    frame = pd.DataFrame({"user_id": "u", "event_timestamp": list(asked)})
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], unit="s", utc=True)
    view = "user_session"
    names = ["version", "item_ids", "counts_minutes", "taste_weights", "session_start"]
    found = await asyncio.to_thread(
        lambda: (
            feast.FeatureStore(config=repo_config(settings))
            .get_historical_features(frame, [f"{view}:{name}" for name in names])
            .to_df()
            .sort_values("event_timestamp")
        )
    )
    assert found["version"].tolist() == [version for version in asked.values() if version]
    last, expected = found.iloc[-1], session(4, NOON + 200.5)
    assert last["item_ids"].tolist() == expected.item_ids
    assert last["counts_minutes"].tolist() == expected.counts_minutes
    assert last["taste_weights"].tolist() == expected.taste_weights
    assert last["session_start"] == expected.session_start


async def test_a_full_buffer_loses_sessions_and_counts_them(tmp_path: Path) -> None:
    before = lost()
    offline = OfflineSessions(parts_in(tmp_path), most_waiting=3)
    offline.start()
    for user in range(5):
        offline.add({f"u{user}": session(1)})
    await offline.close()
    assert rows_in(tmp_path)["user_id"].tolist() == ["u0", "u1", "u2"]
    assert lost() - before == 2


async def test_what_cannot_be_written_is_counted_as_lost(tmp_path: Path) -> None:
    before = lost()
    (tmp_path / "offline").write_text("not a folder")
    offline = OfflineSessions(parts_in(tmp_path))
    offline.start()
    offline.add({"u": session(1), "v": session(1)})
    await offline.close()
    assert lost() - before == 2


async def test_nothing_is_kept_without_a_place_for_it() -> None:
    before = lost()
    offline = OfflineSessions(None)
    offline.start()
    offline.add({"u": session(1)})
    assert await offline.erase("u", 9) == 0
    await offline.close()
    assert lost() == before


async def test_an_erased_user_is_in_no_part_and_not_in_the_buffer(tmp_path: Path) -> None:
    parts = parts_in(tmp_path)
    parts.write([("u", session(1)), ("v", session(1))])
    parts.write([("u", session(2))])
    parts.write([("v", session(2))])
    offline = OfflineSessions(parts)
    offline.start()
    offline.add({"u": session(3), "v": session(3)})
    assert await offline.erase("u", 9) == 2
    assert await offline.erase("u", 9) == 0
    await offline.close()
    rows = rows_in(tmp_path)
    assert set(rows["user_id"]) == {"v"}
    assert sorted(rows["version"]) == [1, 2, 3]


async def test_what_a_user_did_after_coming_back_stays(tmp_path: Path) -> None:
    parts = parts_in(tmp_path)
    parts.write([("u", session(1)), ("u", session(4))])
    offline = OfflineSessions(parts)
    offline.add({"u": session(3)})
    offline.add({"u": session(5)})
    offline.start()
    assert await offline.erase("u", up_to=3) == 1
    await offline.close()
    assert sorted(rows_in(tmp_path)["version"]) == [4, 5]


DAMAGES = [b"", b"PAR1", b"PAR1" + b"\xff" * 200 + b"\x10\0\0\0PAR1"]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_part_stops_neither_an_erasure_nor_a_merge_nor_a_close(
    tmp_path: Path, damage: bytes
) -> None:
    parts, folder = parts_in(tmp_path), tmp_path / SESSION_FOLDER
    for n in range(40):
        parts.write([("u" if n == 39 else f"u{n}", session(1))])
    damaged = sorted(folder.glob("*.parquet"))[3]
    user = pq.read_table(damaged)["user_id"][0].as_py()
    damaged.write_bytes(damage)
    offline = OfflineSessions(parts)
    offline.start()
    assert await offline.erase("u", 9) == 1
    assert not damaged.exists()
    second = sorted(folder.glob("*.parquet"))[5]
    other = pq.read_table(second)["user_id"][0].as_py()
    second.write_bytes(damage)
    offline.add({"late": session(1)})
    await offline.close()
    assert len(list(folder.iterdir())) == 1
    kept = {f"u{n}" for n in range(39)} - {user, other} | {"late"}
    assert set(rows_in(tmp_path)["user_id"]) == kept


def test_parts_written_before_a_feature_was_added_are_merged_with_later_ones(
    tmp_path: Path,
) -> None:
    parts, folder = parts_in(tmp_path), tmp_path / SESSION_FOLDER
    for n in range(40):
        parts.write([(f"u{n}", session(1))])
    older = sorted(folder.glob("*.parquet"))[0]
    table = pq.read_table(older)
    older_table = table.drop_columns(["session_start"]).append_column("gone", table["version"])
    pq.write_table(older_table, older)
    parts.tidy()
    rows = rows_in(tmp_path)
    assert len(rows) == 40 and "gone" not in rows.columns
    assert rows["session_start"].isna().sum() == 1


def test_files_that_a_kill_left_unfinished_go_once_they_are_old(tmp_path: Path) -> None:
    parts, folder = parts_in(tmp_path), tmp_path / SESSION_FOLDER
    for remove in (parts.tidy, lambda: parts.erase("u", 9)):
        folder.mkdir(parents=True, exist_ok=True)
        old, new = folder / "1-old.unfinished", folder / "2-new.unfinished"
        for file in (old, new):
            file.touch()
        os.utime(old, (time.time() - 100,) * 2)
        remove()
        assert (old.exists(), new.exists()) == (False, True)


def test_small_parts_are_merged_without_losing_a_row(tmp_path: Path) -> None:
    parts = parts_in(tmp_path)
    for n in range(40):
        parts.write([(f"u{n}", session(n % 5 + 1))])
    parts.tidy()
    assert len(list((tmp_path / SESSION_FOLDER).iterdir())) == 1
    rows = rows_in(tmp_path)
    assert sorted(rows["user_id"]) == sorted(f"u{n}" for n in range(40))


def test_old_parts_and_those_that_are_too_much_go_oldest_first(tmp_path: Path) -> None:
    parts = parts_in(tmp_path, days=1.0)
    folder = tmp_path / SESSION_FOLDER
    for days in (3.0, 0.5, 0.0):
        before = set(folder.glob("*"))
        parts.write([(f"{days}", session(1))])
        [new] = set(folder.glob("*")) - before
        new.rename(folder / f"{round((time.time() - days * 86_400) * 1e3):015d}-{days}.parquet")
    parts.tidy()
    assert sorted(rows_in(tmp_path)["user_id"]) == ["0.0", "0.5"]
    size = max(part.stat().st_size for part in folder.iterdir())
    parts_in(tmp_path, most_bytes=size).tidy()
    assert rows_in(tmp_path)["user_id"].tolist() == ["0.0"]


def test_columns_have_one_order_in_every_process_so_that_parts_can_be_merged(
    tmp_path: Path,
) -> None:
    parts_in(tmp_path).write([("u", session(1))])
    columns = rows_in(tmp_path).columns.tolist()
    assert columns[:3] == ["user_id", "event_timestamp", "version_time"]
    assert columns[3:] == sorted(field.name for field in fields(Session))


def test_a_user_without_events_has_no_row(tmp_path: Path) -> None:
    parts_in(tmp_path).write([("nobody", Session())])
    assert not (tmp_path / SESSION_FOLDER).exists()


@pytest.mark.parametrize("count", [1, 19, 20, 45])
def test_any_number_of_sessions_is_one_part_and_is_read_back(tmp_path: Path, count: int) -> None:
    parts_in(tmp_path).write([(f"u{n}", session(n % 100 + 1)) for n in range(count)])
    assert len(list((tmp_path / SESSION_FOLDER).iterdir())) == 1
    rows = rows_in(tmp_path)
    assert rows["version"].tolist() == [n % 100 + 1 for n in range(count)]
    assert rows["taste_item_ids"].iloc[-1].tolist() == session((count - 1) % 100 + 1).taste_item_ids
