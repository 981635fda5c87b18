"""A loaded release scores what fits it, and refuses what does not, by the field's name."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.history import UserHistory
from models.release import ITEM_VECTORS, ReleaseError
from services.common.errors import InvalidArgument
from services.ranking.scoring import MAX_CANDIDATES, LoadedRelease, NotFinite, load_release
from tests.unit.ranking.releases import N_ITEMS, DotScorer, history, write_release


@pytest.fixture
def release(tmp_path: Path) -> LoadedRelease:
    return load_release(write_release(tmp_path).path, DotScorer)


def test_scores_are_parallel_to_the_rows(release: LoadedRelease) -> None:
    user = history(3, 4)
    there = release.score(user, np.array([7, 1, 7, 19])).scores
    back = release.score(user, np.array([19, 7, 1, 7])).scores
    assert there.dtype == np.float32
    np.testing.assert_array_equal(there[[3, 0, 1, 2]], back)
    assert len(set(there.tolist())) == 3


@pytest.mark.parametrize("row", [-1, N_ITEMS, 2**31, 2**32 - 1])
def test_an_item_row_outside_the_release_is_named(release: LoadedRelease, row: int) -> None:
    with pytest.raises(InvalidArgument, match=f"^item_rows: row {row} .* {N_ITEMS} items"):
        release.score(history(), np.array([0, row]))


def test_a_history_row_outside_the_release_is_named(release: LoadedRelease) -> None:
    with pytest.raises(InvalidArgument, match=r"^user\.history_rows: row 20"):
        release.score(history(1, N_ITEMS), np.array([0]))


@pytest.mark.parametrize("count", [0, MAX_CANDIDATES + 1])
def test_too_few_or_too_many_candidates_are_refused(release: LoadedRelease, count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"^item_rows: {count} of them"):
        release.score(history(), np.zeros(count, dtype=np.int64))


@pytest.mark.parametrize(
    ("user", "field"),
    [
        (history(1, ages=[float("nan")]), "user.history_ages"),
        (history(1, ages=[-1.0]), "user.history_ages"),
        (history(1, factors=2), "user.factors"),
    ],
)
def test_a_user_that_does_not_fit_is_named(
    release: LoadedRelease, user: UserHistory, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        release.score(user, np.array([0]))
    assert refused.value.field == field


def test_a_user_seen_in_training_and_a_stranger_both_score(release: LoadedRelease) -> None:
    for factors in (0, release.n_factors):
        assert np.isfinite(release.score(history(factors=factors), np.arange(N_ITEMS)).scores).all()


def test_scores_that_are_not_finite_never_leave() -> None:
    class Broken:
        names = ("all",)

        def parts(self, user: UserHistory, rows: NDArray[np.int32]) -> NDArray[np.float32]:
            return np.where(rows == 5, np.nan, 1.0).astype(np.float32)[None]

        def predict(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
            return scores

    release = LoadedRelease("r", N_ITEMS, 3, Broken())
    assert release.score(history(), np.array([4])).scores.tolist() == [1.0]
    with pytest.raises(NotFinite, match="item row 5"):
        release.score(history(), np.array([4, 5]))


def test_a_damaged_release_is_not_loaded(tmp_path: Path) -> None:
    path = write_release(tmp_path).path
    with (path / ITEM_VECTORS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(ReleaseError, match="checksum"):
        load_release(path, DotScorer)


def test_a_release_with_vectors_that_are_not_finite_is_not_loaded(tmp_path: Path) -> None:
    vectors = np.ones((N_ITEMS, 4), dtype=np.float32)
    vectors[11, 2] = np.inf
    with pytest.raises(ReleaseError, match="not finite"):
        load_release(write_release(tmp_path, vectors).path, DotScorer)


def test_a_release_that_scores_nonsense_is_not_loaded(tmp_path: Path) -> None:
    class Broken(DotScorer):
        def parts(self, user: UserHistory, rows: NDArray[np.int32]) -> NDArray[np.float32]:
            return np.full((2, len(rows)), np.nan, np.float32)

    with pytest.raises(ReleaseError, match="score of item row 0 is not finite"):
        load_release(write_release(tmp_path).path, Broken)
