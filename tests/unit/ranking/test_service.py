"""The servicer decodes, scores and encodes."""

from pathlib import Path

import numpy as np
import pytest

from bench.random_release import write_random_release
from models.final_score import release_scorer
from services.common.database import open_database
from services.common.errors import InvalidArgument
from services.common.live_items import LiveItem, LiveItemTable
from services.common.live_view import LiveItems
from services.common.model_input import encode_user
from services.common.release_cache import ReleaseCache
from services.ranking.live import LiveScorers
from services.ranking.scoring import LoadedRelease, load_release
from services.ranking.service import RankingServicer
from tandem.model.v1 import model_pb2
from tandem.ranking.v1 import ranking_pb2
from tests.unit.ranking.releases import N_ITEMS, DotScorer, history, write_release


@pytest.fixture
def release(tmp_path: Path) -> LoadedRelease:
    return load_release(write_release(tmp_path).path, DotScorer)


@pytest.fixture
def servicer(release: LoadedRelease, tmp_path: Path) -> RankingServicer:
    return RankingServicer(
        ReleaseCache(lambda release_id: load_release(tmp_path / release_id, DotScorer), capacity=2)
    )


async def test_rank_answers_the_scores_of_the_named_release(
    servicer: RankingServicer, release: LoadedRelease
) -> None:
    request = ranking_pb2.RankRequest(
        release_id=release.release_id, user=encode_user(history(2, 5)), item_rows=[4, 0, 9]
    )
    response = await servicer.Rank(request, None)
    assert response.release_id == release.release_id
    scored = release.score(history(2, 5), np.array([4, 0, 9]))
    assert response.scores == scored.scores.tolist()
    assert response.predictions == (2 * scored.scores).tolist()
    assert not response.parts


async def test_parts_are_answered_when_asked_for_and_sum_to_the_scores(
    servicer: RankingServicer, release: LoadedRelease
) -> None:
    request = ranking_pb2.RankRequest(
        release_id=release.release_id,
        user=encode_user(history(2, 5)),
        item_rows=[4, 0, 9],
        explain=True,
    )
    response = await servicer.Rank(request, None)
    assert [part.name for part in response.parts] == ["taste", "first"]
    sums = np.sum([part.scores for part in response.parts], axis=0)
    np.testing.assert_allclose(sums, response.scores, rtol=1e-5)


async def test_prepare_answers_the_number_of_items(
    servicer: RankingServicer, release: LoadedRelease
) -> None:
    request = ranking_pb2.PrepareReleaseRequest(release_id=release.release_id)
    assert (await servicer.PrepareRelease(request, None)).items == N_ITEMS


@pytest.mark.parametrize(
    "user",
    [
        model_pb2.UserInput(history_rows=[1, 2], history_kinds=[2]),
        model_pb2.UserInput(
            history_rows=[1], history_kinds=[4_000], history_ages=[0], history_values=[0]
        ),
        model_pb2.UserInput(
            history_rows=[2**32 - 1], history_kinds=[2], history_ages=[0], history_values=[0]
        ),
    ],
)
async def test_a_malformed_user_is_an_invalid_argument(
    servicer: RankingServicer, release: LoadedRelease, user: model_pb2.UserInput
) -> None:
    request = ranking_pb2.RankRequest(release_id=release.release_id, user=user, item_rows=[0])
    with pytest.raises(InvalidArgument, match=r"^user"):
        await servicer.Rank(request, None)


async def test_attribute_answers_the_causes_of_each_item_live_ones_included(
    tmp_path: Path,
) -> None:
    release = write_random_release(tmp_path / "releases", 30, dimensions=16, seed=1)
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    LiveItemTable(engine).upsert([LiveItem("new", genres=("comedy",))])
    live = LiveScorers(LiveItems(LiveItemTable(engine)))
    loaded = load_release(release.path, release_scorer)
    servicer = RankingServicer(ReleaseCache(lambda _: loaded, capacity=1), live)
    user, rows = history(2, 5, 9, 2), np.array([4, 30, 0])
    request = ranking_pb2.AttributeRequest(
        release_id=release.release_id, user=encode_user(user), item_rows=rows.tolist()
    )
    answer = await servicer.Attribute(request, None)
    found = (await live.extended(loaded, rows)).attribute(user, rows)
    engine.dispose()
    named = found.causes >= 0
    assert answer.release_id == release.release_id
    assert list(answer.cause_counts) == named.sum(axis=1).tolist()
    assert list(answer.cause_rows) == found.causes[named].tolist()
    np.testing.assert_allclose(answer.drops, found.drops[named], rtol=1e-6)
    assert named.any()


@pytest.mark.parametrize("rows", [[], [0] * 51, [30]])
async def test_rows_that_cannot_be_attributed_are_an_invalid_argument(
    tmp_path: Path, rows: list[int]
) -> None:
    release = write_random_release(tmp_path, 30, dimensions=16, seed=1)
    loaded = load_release(release.path, release_scorer)
    servicer = RankingServicer(ReleaseCache(lambda _: loaded, capacity=1))
    request = ranking_pb2.AttributeRequest(
        release_id=release.release_id, user=encode_user(history(2)), item_rows=rows
    )
    with pytest.raises(InvalidArgument, match=r"^item_rows"):
        await servicer.Attribute(request, None)
