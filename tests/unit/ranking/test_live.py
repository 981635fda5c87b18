"""Live items score by the item tower, at once, and as every other service thinks of them."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from bench.random_release import clicked, write_random_release
from models.final_score import release_scorer
from models.new_items import NewItemVectors
from models.scorer import TwoTowerScorer
from services.common.database import open_database
from services.common.errors import InvalidArgument
from services.common.live_items import LiveItem, LiveItemTable
from services.common.live_view import LiveItems
from services.ranking.live import LiveScorers
from services.ranking.scoring import LoadedRelease, load_release

N = 30


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def table(engine: Engine) -> LiveItemTable:
    return LiveItemTable(engine)


@pytest.fixture
def base(tmp_path: Path) -> LoadedRelease:
    release = write_random_release(tmp_path / "releases", N, dimensions=16, seed=1)
    return load_release(release.path, release_scorer)


def items(count: int) -> list[LiveItem]:
    return [LiveItem(f"new-{n}", genres=("comedy", "unheard-of")[n % 2 :]) for n in range(count)]


async def test_a_row_that_is_not_known_yet_makes_the_table_be_read(
    base: LoadedRelease, table: LiveItemTable
) -> None:
    live = LiveScorers(LiveItems(table))
    rows = np.array([0, N, N + 2])
    assert (await live.extended(base, np.array([0]))) is base
    table.upsert(items(3))
    release = await live.extended(base, rows)
    assert release.n_live == 3
    scored = release.score(clicked(1, 2), rows)
    assert np.isfinite(scored.scores).all()
    with pytest.raises(InvalidArgument, match=r"^item_rows: row 33 .* 30 items and 3 live ones"):
        (await live.extended(base, np.array([N + 3]))).score(clicked(1), np.array([N + 3]))
    with pytest.raises(InvalidArgument, match=r"^user\.history_rows: row 30"):
        release.score(clicked(N), np.array([0]))


async def test_live_items_score_as_their_vectors_and_others_as_before(
    base: LoadedRelease, table: LiveItemTable
) -> None:
    table.upsert(items(5))
    followed = LiveItems(table)
    followed.refresh()
    release = await LiveScorers(followed).up_to_date(base)
    rows = np.array([N + 4, 3, N, 7, N + 1])
    scores = release.score(clicked(3, 9), rows).scores
    assert base.release is not None
    towers = TwoTowerScorer(base.release)
    vectors = np.concatenate([towers.item_vectors, NewItemVectors(towers).of(followed.current())])
    expected = vectors[rows] @ towers.user_vector(clicked(3, 9))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    old = base.score(clicked(3, 9), np.array([3, 7])).scores
    np.testing.assert_allclose(scores[[1, 3]], old, rtol=1e-5)


async def test_a_change_of_an_item_changes_its_score_and_nothing_else(
    base: LoadedRelease, table: LiveItemTable
) -> None:
    table.upsert(items(600))
    followed = LiveItems(table)
    followed.refresh()
    live = LiveScorers(followed)
    rows = np.arange(N, N + 600)
    before = (await live.extended(base, rows)).score(clicked(3), rows).scores
    table.upsert([replace(items(600)[301], genres=("drama",), year=1950)])
    followed.refresh()
    after = (await live.up_to_date(base)).score(clicked(3), rows).scores
    assert np.flatnonzero(before != after).tolist() == [301]
    assert await live.extended(base, rows) is await live.extended(base, rows)


async def test_requests_go_on_with_what_is_known_while_more_is_added(
    base: LoadedRelease, table: LiveItemTable
) -> None:
    table.upsert(items(1))
    followed = LiveItems(table)
    followed.refresh()
    live = LiveScorers(followed)
    assert (await live.extended(base, np.array([0]))) is base
    one = await live.extended(base, np.array([N]))
    assert one.n_live == 1
    table.upsert(items(3))
    followed.refresh()
    assert await live.extended(base, np.array([N])) is one
    both = await asyncio.gather(*(live.extended(base, np.array([N + 2])) for _ in range(2)))
    assert both[0] is both[1] and both[0].n_live == 3
    assert await live.extended(base, np.array([0])) is both[0]


async def test_a_caller_that_gives_up_does_not_end_what_others_wait_for(
    base: LoadedRelease, table: LiveItemTable
) -> None:
    table.upsert(items(2))
    followed = LiveItems(table)
    followed.refresh()
    live = LiveScorers(followed)
    waiting = [asyncio.create_task(live.up_to_date(base)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert (await waiting[1]).n_live == 2
    assert waiting[0].cancelled()


async def test_an_extension_goes_with_the_release_it_is_of(
    tmp_path: Path, table: LiveItemTable
) -> None:
    path = write_random_release(tmp_path / "releases", N, dimensions=16, seed=1).path
    base = load_release(path, release_scorer)
    table.upsert(items(1))
    live = LiveScorers(LiveItems(table))
    first = weakref.ref(await live.extended(base, np.array([N])))
    again = load_release(path, release_scorer)
    assert await live.extended(again, np.array([N])) is not first()
    del base
    gc.collect()
    assert first() is None
