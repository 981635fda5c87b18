"""The servicer decodes, scores and encodes."""

from pathlib import Path

import numpy as np
import pytest

from services.common.errors import InvalidArgument
from services.common.model_input import encode_user
from services.common.release_cache import ReleaseCache
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
