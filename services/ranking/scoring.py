"""Scores candidates with the model of the release that a request names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.attribution import Attribution, attribute
from models.final_score import FinalScorer
from models.history import UserHistory
from models.release import Release, ReleaseError
from services.common.errors import FailedPrecondition, InvalidArgument

MAX_CANDIDATES = 5_000
MAX_ATTRIBUTED = 50

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class Scorer(Protocol):
    """The model of one release."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the parts that a score is the sum of."""

    def parts(self, user: UserHistory, rows: NDArray[np.int32]) -> Scores:
        """(p, n) float32 parts of the scores of (n,) item rows."""

    def predict(self, scores: Scores) -> Scores:
        """(n,) float32 what scores mean to a user of the API, in the same order."""


@dataclass(frozen=True)
class Scored:
    """Scores of n candidates.

    Attributes:
        scores: (n,) float32; larger is better.
        predictions: (n,) float32 what they predict.
        parts: by name, (n,) float32 that sum to the scores.
    """

    scores: Scores
    predictions: Scores
    parts: Mapping[str, Scores]


class NotFinite(FailedPrecondition):
    """The model gave NaN or infinity, which must reach no ranking."""


@dataclass(frozen=True, eq=False)
class LoadedRelease:
    """A release that can score. Each time that one is loaded it is another.

    Attributes:
        release_id: its id.
        n_items: items it was trained with; rows of histories are below this.
        n_factors: length of its matrix-factorization vectors.
        scorer: its model.
        release: its folder, for what else scorers of it need.
        n_live: live items that it can score, too, in the rows after `n_items`.
    """

    release_id: str
    n_items: int
    n_factors: int
    scorer: Scorer
    release: Release | None = None
    n_live: int = 0

    def score(self, user: UserHistory, rows: Rows) -> Scored:
        """Scores candidates for one user.

        Args:
            user: the user at the moment of the request.
            rows: (n,) item rows, 1 to `MAX_CANDIDATES` of them.

        Returns:
            Arrays parallel to `rows`, all finite.

        Raises:
            InvalidArgument: a row, an age or a vector does not fit the release.
            NotFinite: the model gave NaN or infinity.
        """
        self._check(user, rows, MAX_CANDIDATES)
        parts = self.scorer.parts(user, rows.astype(np.int32))
        scores: Scores = parts.sum(axis=0)
        self._check_finite(rows, scores)
        return Scored(
            scores, self.scorer.predict(scores), dict(zip(self.scorer.names, parts, strict=True))
        )

    def attribute(self, user: UserHistory, rows: Rows) -> Attribution:
        """Finds what in the user's history brought items.

        Args:
            user: as in `score`.
            rows: (n,) item rows, 1 to `MAX_ATTRIBUTED` of them.

        Returns:
            Arrays parallel to `rows`.

        Raises:
            InvalidArgument, NotFinite: as in `score`.
        """
        assert isinstance(self.scorer, FinalScorer)
        self._check(user, rows, MAX_ATTRIBUTED)
        found = attribute(self.scorer, user, rows.astype(np.int32))
        self._check_finite(rows, found.drops.sum(axis=1))
        return found

    def _check(self, user: UserHistory, rows: Rows, most: int) -> None:
        if not 1 <= len(rows) <= most:
            raise InvalidArgument("item_rows", f"{len(rows)} of them; 1 to {most} wanted")
        self._check_rows("item_rows", rows, self.n_items + self.n_live)
        self._check_user(user)

    def _check_finite(self, rows: Rows, scores: Scores) -> None:
        if not np.isfinite(scores).all():
            worst = int(rows[np.argmin(np.isfinite(scores))])
            raise NotFinite(f"release {self.release_id}: score of item row {worst} is not finite")

    def _check_rows(self, field: str, rows: NDArray[np.integer], end: int) -> None:
        if len(rows) and not (rows.min() >= 0 and rows.max() < end):
            outside = rows[(rows < 0) | (rows >= end)][0]
            live = f" and {self.n_live} live ones" if self.n_live else ""
            raise InvalidArgument(
                field,
                f"row {outside} in release {self.release_id}, which has {self.n_items} items{live}",
            )

    def _check_user(self, user: UserHistory) -> None:
        self._check_rows("user.history_rows", user.rows, self.n_items)
        for field, values in (
            ("user.history_ages", user.ages),
            ("user.history_values", user.values),
            ("user.request_time", np.float64(user.time)),
            ("user.factors", user.factors),
        ):
            if not np.isfinite(values).all():
                raise InvalidArgument(field, "not finite")
        if (user.ages < 0).any():
            raise InvalidArgument("user.history_ages", "negative")
        if len(user.factors) not in (0, self.n_factors):
            raise InvalidArgument(
                "user.factors", f"{len(user.factors)} values; 0 or {self.n_factors} wanted"
            )


def load_release(path: Path, open_model: Callable[[Release], Scorer]) -> LoadedRelease:
    """Opens a release, compares it with its checksums, and scores once. Blocks.

    Args:
        path: the release's folder.
        open_model: builds the model of a verified release.

    Raises:
        ReleaseError: the release is missing, damaged, or scores nonsense.
    """
    release = Release(path)
    release.verify()
    if not np.isfinite(release.item_vectors).all():
        raise ReleaseError(f"{path}: item vectors are not finite")
    loaded = LoadedRelease(
        release.release_id,
        n_items=len(release.item_vectors),
        n_factors=release.item_factors.shape[1],
        scorer=open_model(release),
        release=release,
    )
    try:
        loaded.score(_stranger(), np.zeros(1, dtype=np.int64))
    except NotFinite as error:
        raise ReleaseError(f"{path}: {error}") from None
    return loaded


def _stranger() -> UserHistory:
    return UserHistory(
        rows=np.empty(0, dtype=np.int32),
        kinds=np.empty(0, dtype=np.int8),
        ages=np.empty(0, dtype=np.float32),
        values=np.empty(0, dtype=np.float32),
        time=0.0,
    )
