"""Tries a release before it serves: its files alone first, then the services that prepared it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.history import UserHistory
from models.release import Release, ReleaseError
from services.common.errors import FailedPrecondition, InvalidArgument, Unavailable
from services.common.probe_users import NEAREST, ProbeUser, nearest_of, read_probe_users
from services.orchestrator.candidates import Rows
from services.orchestrator.clients import Prepared, Retrieved
from services.orchestrator.pipeline import Scored

NEAREST_SOURCE = "tower_ann"
LEAST_RECALL = 0.95
MOST_SCORE_DIFFERENCE = 1e-3
LEAST_ITEMS_FOUND = 10
"""Different items that all probe users together must find, or all there are of fewer."""

COMPARED_METRIC = "ndcg@10"
_STANDARD_ERRORS = 2.0

_CALL_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
"""Time that replicas which have not loaded the release yet get for that."""

_PAUSE_SECONDS = 0.5
_NO_ROWS = np.empty(0, np.int32)

T = TypeVar("T")


class Retrieves(Protocol):
    """Finds candidates; `RetrievalClient`."""

    async def retrieve(
        self,
        release_id: str,
        user: UserHistory,
        count: int,
        exclude: Rows,
        timeout: float,
        *,
        sources: Sequence[str] = (),
    ) -> Retrieved: ...


class Ranks(Protocol):
    """Scores candidates; `RankingClient`."""

    async def rank(
        self, release_id: str, user: UserHistory, rows: Rows, timeout: float, *, explain: bool
    ) -> Scored: ...


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        passed: whether it is as it must be; also when it could not be checked.
        detail: what was found, in numbers; of a failed check, why that is too little.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class ProbeReport:
    """All that was looked at."""

    checks: tuple[Check, ...]

    def require(self) -> None:
        """Raises `FailedPrecondition` with the details of what failed, if anything did."""
        failed = [check.detail for check in self.checks if not check.passed]
        if failed:
            raise FailedPrecondition("; ".join(failed))


@dataclass(frozen=True)
class _Answered:
    """What the services made of one probe user."""

    recall: float
    difference: float
    found: Rows
    seconds: float


class ReleaseProbe:
    """Checks that a release is sound, and that the services give what its trainer gave.

    Args:
        retrieval, ranking: the services; a release was prepared by them before they are asked.
        erased: tells which of some users were erased; blocks.
        metric_margin: how far, relative to the release that serves, nDCG@10 may fall.
        most_seconds: median time of retrieval and ranking above which a release is refused.
        patience_seconds: time that an unreachable service gets to come back.
    """

    def __init__(
        self,
        retrieval: Retrieves,
        ranking: Ranks,
        erased: Callable[[Collection[str]], Collection[str]],
        metric_margin: float,
        most_seconds: float,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._retrieval = retrieval
        self._ranking = ranking
        self._erased = erased
        self._metric_margin = metric_margin
        self._most_seconds = most_seconds
        self._patience_seconds = patience_seconds

    def inspect(self, release: Release, serving: Release | None) -> ProbeReport:
        """Looks at the files of a release. Blocks.

        Args:
            release: a verified release.
            serving: the one that serves; None for none.

        Raises:
            FailedPrecondition: a file cannot be read.
        """
        try:
            return ProbeReport(
                (
                    _check_finite(release),
                    _check_sizes(release),
                    _check_popular(release),
                    self._check_metric(release, serving),
                )
            )
        except (OSError, ValueError, KeyError) as error:
            raise FailedPrecondition(f"{release.path}: {error}") from None

    async def ask(self, release: Release, prepared: Sequence[Prepared]) -> ProbeReport:
        """Compares what the services say with what the trainer said.

        Args:
            release: a release that passed `inspect`.
            prepared: what the services said when they had prepared it.

        Raises:
            FailedPrecondition: a service refuses a probe user, or the release's are damaged.
            Unavailable: a service could not be reached.
        """
        counts = await asyncio.to_thread(self._check_counts, release, prepared)
        try:
            users = await asyncio.to_thread(read_probe_users, release)
        except ReleaseError as error:
            raise FailedPrecondition(str(error)) from None
        if not users:
            note = "not compared with the trainer: the release was built without probe users"
            return ProbeReport((counts, Check("probe users", True, note)))
        try:
            answered = [await self._answer(release, user) for user in users]
        except InvalidArgument as error:
            raise FailedPrecondition(f"a probe user is refused: {error}") from None
        return ProbeReport((counts, *self._check_answers(release, answered)))

    def _check_metric(self, release: Release, serving: Release | None) -> Check:
        name = COMPARED_METRIC
        new = release.manifest.metrics.get(name)
        old = serving.manifest.metrics.get(name) if serving is not None else None
        if serving is None or new is None or old is None:
            return Check(name, True, f"{name} not compared: one of two releases has none")
        # Each user asks one question at most, and a mean of numbers within 0 to 1 that is m has a
        # variance of at most m (1 - m): what a small log says is not taken for more than it is.
        chance = sum(
            m * (1 - m) / max(each.manifest.n_users, 1)
            for m, each in ((new, release), (old, serving))
        )
        allowed = max(self._metric_margin * old, _STANDARD_ERRORS * max(chance, 0.0) ** 0.5)
        found = f"{name} {new:.4f}"
        if new >= old - allowed:
            return Check(name, True, f"{found}, against {old:.4f} of the release that serves")
        return Check(
            name,
            False,
            f"{found} is more than {allowed:.4f} below {old:.4f} of release {serving.release_id}",
        )

    def _check_counts(self, release: Release, prepared: Sequence[Prepared]) -> Check:
        n_items, n_users = release.manifest.n_items, release.manifest.n_users
        wrong = [
            f"{each.service} holds {each.items} items of {n_items}"
            for each in prepared
            if each.items != n_items
        ]
        for each in prepared:
            if each.users is not None and each.users != n_users:
                # Rows of users who were erased are not pushed, or were and are gone.
                erased = len(self._erased(list(release.user_rows)))
                if not n_users - erased <= each.users <= n_users:
                    wrong.append(f"{each.service} holds {each.users} users of {n_users}")
        return Check("counts", not wrong, ", ".join(wrong) or f"{n_items} items, {n_users} users")

    async def _answer(self, release: Release, asked: ProbeUser) -> _Answered:
        release_id, user = release.release_id, asked.user
        nearest = await self._nearest(release_id, user, nearest_of(release.manifest.n_items))
        hits = await asyncio.to_thread(asked.hits, release.item_vectors, nearest)
        scores = (await self._rank(release_id, user, asked.rows)).scores
        if len(scores) != len(asked.scores):
            raise FailedPrecondition(f"{len(scores)} scores of {len(asked.scores)} items")
        # Only now is the clock started: a replica may load the release when it is first asked.
        began = time.perf_counter()
        found = (await self._retrieve(release_id, user)).candidates.rows
        found = found[found < release.manifest.n_items]  # live items are not the release's matter
        if len(found):
            await self._rank(release_id, user, found)
        return _Answered(
            recall=hits / nearest_of(release.manifest.n_items),
            difference=float(np.abs(scores - asked.scores).max(initial=0.0)),
            found=found,
            seconds=time.perf_counter() - began,
        )

    def _check_answers(self, release: Release, answered: Sequence[_Answered]) -> list[Check]:
        recall = float(np.mean([each.recall for each in answered]))
        difference = max(each.difference for each in answered)
        seconds = float(np.median([each.seconds for each in answered]))
        items = len(np.unique(np.concatenate([each.found for each in answered])))
        least = min(LEAST_ITEMS_FOUND, release.manifest.n_items)
        return [
            _at_least(f"recall@{nearest_of(release.manifest.n_items)}", recall, LEAST_RECALL),
            _at_most(
                "largest difference from the trainer's scores", difference, MOST_SCORE_DIFFERENCE
            ),
            _at_most("median seconds of retrieval and ranking", seconds, self._most_seconds),
            _at_least("items found by all probe users", items, least),
        ]

    async def _nearest(self, release_id: str, user: UserHistory, count: int) -> Rows:
        async def ask() -> Rows:
            answer = await self._retrieval.retrieve(
                release_id, user, count, _NO_ROWS, _CALL_SECONDS, sources=[NEAREST_SOURCE]
            )
            if answer.failed:
                raise Unavailable(f"{NEAREST_SOURCE}: {answer.failed.get(NEAREST_SOURCE)}")
            return answer.candidates.rows

        return await self._patiently(ask)

    async def _retrieve(self, release_id: str, user: UserHistory) -> Retrieved:
        return await self._patiently(
            lambda: self._retrieval.retrieve(release_id, user, NEAREST, _NO_ROWS, _CALL_SECONDS)
        )

    async def _rank(self, release_id: str, user: UserHistory, rows: Rows) -> Scored:
        return await self._patiently(
            lambda: self._ranking.rank(release_id, user, rows, _CALL_SECONDS, explain=False)
        )

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        ends = time.monotonic() + self._patience_seconds
        while True:
            try:
                return await call()
            except Unavailable:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)


def _check_finite(release: Release) -> Check:
    arrays = {
        "item vectors": release.item_vectors,
        "item factors": release.item_factors,
        "user factors": release.user_factors,
    }
    wrong = [
        f"{int((~finite).sum())} of {len(finite)} {name} are not finite"
        for name, finite in ((name, _finite_rows(values)) for name, values in arrays.items())
        if not finite.all()
    ]
    return Check("finite", not wrong, ", ".join(wrong) or f"{', '.join(arrays)} are finite")


def _finite_rows(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values).all(axis=1))


def _check_sizes(release: Release) -> Check:
    n_items, n_users = release.manifest.n_items, release.manifest.n_users
    sizes = {
        "items": (len(release.items), n_items),
        "item vectors": (len(release.item_vectors), n_items),
        "item factors": (len(release.item_factors), n_items),
        "users": (len(release.users), n_users),
        "user factors": (len(release.user_factors), n_users),
    }
    wrong = [f"{found} {name} of {n}" for name, (found, n) in sizes.items() if found != n]
    return Check("sizes", not wrong, ", ".join(wrong) or f"{n_items} items, {n_users} users")


def _check_popular(release: Release) -> Check:
    rows, n = np.sort(release.popular_rows), release.manifest.n_items
    if np.array_equal(rows, np.arange(n)):
        return Check("popular rows", True, f"{n} popular rows")
    inside = len(np.unique(rows[(rows >= 0) & (rows < n)]))
    return Check("popular rows", False, f"the {len(rows)} popular rows name {inside} of {n} items")


def _at_least(name: str, value: float, bound: float) -> Check:
    passed = value >= bound
    found = f"{name} {value:.3g}"
    return Check(name, passed, found if passed else f"{found} is below {bound:g}")


def _at_most(name: str, value: float, bound: float) -> Check:
    passed = value <= bound  # not so for NaN
    found = f"{name} {value:.3g}"
    return Check(name, passed, found if passed else f"{found} is above {bound:g}")
