"""A release is tried before it serves: on real models, with exact search for an index."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sqlalchemy import Engine

from models.final_score import release_scorer
from models.history import UserHistory
from models.release import ITEM_VECTORS, MODEL, POPULAR_ROWS, PROBE, USERS, Release, ReleaseWriter
from services.common.database import open_database
from services.common.erased import ErasedUsers
from services.common.errors import FailedPrecondition, Unavailable
from services.common.probe_users import NEAREST, ProbeUser, probe_table
from services.common.release_cache import ReleaseCache
from services.common.releases import ReleaseRegistry, ReleaseState
from services.orchestrator.candidates import Candidates
from services.orchestrator.clients import Prepared, Retrieved
from services.orchestrator.pipeline import Scored
from services.orchestrator.probe import ReleaseProbe
from services.orchestrator.release_switch import ReleaseSwitch
from services.ranking import scoring
from services.retrieval.loaded import load_release
from tests.unit.retrieval.world import write_release

ITEMS = 1_200
N_USERS = 3


def history(*rows: int) -> UserHistory:
    n = len(rows)
    return UserHistory(
        rows=np.array(rows, np.int32),
        kinds=np.full(n, 2, np.int8),
        ages=np.linspace(600, 60, n).astype(np.float32),
        values=np.zeros(n, np.float32),
        time=1e9,
    )


def asked(release: Release, user: UserHistory) -> ProbeUser:
    scorer = release_scorer(release)
    vector = scorer.towers.user_vector(user)
    logits = np.sort(release.item_vectors @ vector)
    rows = np.arange(0, ITEMS, 12, dtype=np.int32)
    return ProbeUser(user, vector, float(logits[-NEAREST]), rows, scorer.score(user, rows))


def untouched(_folder: Path) -> None:
    pass


@dataclass
class Bench:
    """Releases, the registry that lists them, and services that read them, in one process.

    Attributes:
        shuffled: whether the index holds the vectors of other items.
        lost: rows that retrieval lacks.
        broken: whether ranking is down.
    """

    root: Path
    engine: Engine
    shuffled: bool = False
    lost: int = 0
    broken: bool = False
    most_seconds: float = 5.0
    asked_of_retrieval: int = 0
    prepared: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = ReleaseRegistry(self.engine)
        self.raw = write_release(self.root.parent / "raw", ITEMS)
        self._loaded = ReleaseCache(partial(load_release, self.root), 4)
        self._ranking = ReleaseCache(
            lambda release_id: scoring.load_release(self.root / release_id, release_scorer), 4
        )

    def build(
        self,
        sabotage: Callable[[Path], None] = untouched,
        *,
        metrics: dict[str, float] | None = None,
        schema: str = "",
        probed: bool = True,
        n_users: int = N_USERS,
    ) -> str:
        """Registers a release; what sabotage does to its files gets valid checksums."""
        with ReleaseWriter(self.root) as writer:
            for name in self.raw.manifest.sha256:
                shutil.copy(self.raw.path / name, writer.path / name)
            ids = [f"u{row}" for row in range(N_USERS)]
            users = pd.DataFrame({"user_id": ids, "region": "", "friends": [[]] * N_USERS})
            writer.table(USERS, users)
            if probed:
                people = [history(1, 2, 3), history(700, 9, 55, 800), history()]
                writer.table(PROBE, probe_table([asked(self.raw, each) for each in people]))
            sabotage(writer.path)
            release = writer.commit(
                cut_off=0.0,
                n_items=ITEMS,
                n_users=n_users,
                n_events=0,
                feature_schema=schema or self.raw.manifest.feature_schema,
                config={},
                metrics=metrics or {},
            )
        self.registry.add(release.release_id, release.manifest.metrics)
        return release.release_id

    def switch(self) -> ReleaseSwitch:
        erased = ErasedUsers(self.engine).among
        probe = ReleaseProbe(self, self, erased, 0.2, self.most_seconds, patience_seconds=0.0)
        return ReleaseSwitch(self.registry, self.root, [self], 1.0, 60.0, probe=probe)

    def state(self, release_id: str) -> tuple[ReleaseState, str]:
        record = self.registry.get(release_id)
        return record.state, record.reason

    async def prepare(self, release_id: str, timeout: float) -> Prepared:
        self.prepared.append(release_id)
        loaded = await self._loaded.get(release_id)
        await self._ranking.get(release_id)
        return Prepared("retrieval", len(loaded) - self.lost)

    async def retrieve(
        self,
        release_id: str,
        user: UserHistory,
        count: int,
        exclude: NDArray[np.int32],
        timeout: float,
        *,
        sources: Sequence[str] = (),
    ) -> Retrieved:
        self.asked_of_retrieval += 1
        loaded = await self._loaded.get(release_id)
        vectors = np.asarray(loaded.release.item_vectors)
        if self.shuffled:
            vectors = np.random.default_rng(0).permutation(vectors)
        logits = vectors @ loaded.tower.user_vector(user)
        rows = np.argsort(-logits, kind="stable")[:count].astype(np.int32)
        ranks = np.arange(1, len(rows) + 1, dtype=np.int32)[:, np.newaxis]
        return Retrieved(Candidates(rows, logits[rows], ranks, ("tower_ann",)), {})

    async def rank(
        self,
        release_id: str,
        user: UserHistory,
        rows: NDArray[np.int32],
        timeout: float,
        *,
        explain: bool,
    ) -> Scored:
        if self.broken:
            raise Unavailable("ranking is down")
        loaded = await self._ranking.get(release_id)
        return Scored(loaded.score(user, rows.astype(np.int64)).scores, {})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    engine = open_database(f"sqlite:///{tmp_path}/tandem.db")
    yield Bench(tmp_path / "releases", engine)
    engine.dispose()


async def refused(bench: Bench, release_id: str, reason: str) -> None:
    with pytest.raises(FailedPrecondition, match=f"release {release_id} was refused: .*{reason}"):
        await bench.switch().activate(release_id)
    state, kept = bench.state(release_id)
    assert state is ReleaseState.FAILED
    assert kept and "\n" not in kept
    assert bench.registry.active() is None


def rewrite(
    name: str, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Callable[[Path], None]:
    def sabotage(folder: Path) -> None:
        np.save(folder / name, change(np.load(folder / name)))

    return sabotage


def with_nan(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values[[3, 7], 0] = np.nan
    return values


def nan_weights(folder: Path) -> None:
    raw = torch.load(folder / MODEL, weights_only=True)
    raw["weights"]["log_temperature"].fill_(float("nan"))
    torch.save(raw, folder / MODEL)


async def test_a_good_release_serves(bench: Bench) -> None:
    release_id = bench.build(metrics={"ndcg@10": 0.2})
    record = await bench.switch().activate(release_id)
    assert (record.state, record.reason) == (ReleaseState.ACTIVE, "")
    assert bench.asked_of_retrieval == 6


async def test_vectors_of_other_items_in_the_index(bench: Bench) -> None:
    bench.shuffled = True
    await refused(bench, bench.build(), r"recall@500 0\.\d+ is below 0\.95")


async def test_vectors_of_other_items_in_the_file(bench: Bench) -> None:
    shuffle = rewrite(ITEM_VECTORS, lambda v: np.random.default_rng(0).permutation(v))
    reason = r"largest difference from the trainer's scores [\d.]+ is above 0\.001"
    await refused(bench, bench.build(shuffle), reason)


async def test_rows_that_a_service_lost(bench: Bench) -> None:
    bench.lost = 5
    await refused(bench, bench.build(), "retrieval holds 1195 items of 1200")


async def test_a_truncated_table(bench: Bench) -> None:
    release_id = bench.build(rewrite(POPULAR_ROWS, lambda rows: rows[:-4]))
    await refused(bench, release_id, "1196 popular rows name 1196 of 1200 items")
    await refused(bench, bench.build(n_users=9), "3 users of 9, 3 user factors of 9")


async def test_vectors_that_are_not_finite_reach_no_service(bench: Bench) -> None:
    release_id = bench.build(rewrite(ITEM_VECTORS, with_nan))
    await refused(bench, release_id, "2 of 1200 item vectors are not finite")
    assert not bench.prepared


async def test_weights_that_are_not_finite(bench: Bench) -> None:
    await refused(bench, bench.build(nan_weights), "score of item row 0 is not finite")


async def test_an_older_feature_schema(bench: Bench) -> None:
    await refused(bench, bench.build(schema="older"), "feature schema differs")


async def test_a_slow_release(bench: Bench) -> None:
    bench.most_seconds = 1e-9
    reason = r"median seconds of retrieval and ranking \S+ is above 1e-09"
    await refused(bench, bench.build(), reason)


async def test_worse_metrics_are_refused_and_the_old_release_serves_on(bench: Bench) -> None:
    switch = bench.switch()
    first = bench.build(metrics={"ndcg@10": 0.99})
    await switch.activate(first)
    second = bench.build(metrics={"ndcg@10": 0.01})
    with pytest.raises(
        FailedPrecondition, match=r"ndcg@10 0\.0100 is more than 0\.\d+ below 0\.99"
    ):
        await switch.activate(second)
    assert bench.state(second)[0] is ReleaseState.FAILED
    assert switch.current().release_id == bench.registry.active() == first


async def test_metrics_of_few_users_may_differ_by_chance(bench: Bench) -> None:
    switch = bench.switch()
    await switch.activate(bench.build(metrics={"ndcg@10": 0.4}))
    later = bench.build(metrics={"ndcg@10": 0.2})
    assert (await switch.activate(later)).release_id == later


async def test_a_release_that_served_before_is_not_probed_again(bench: Bench) -> None:
    switch = bench.switch()
    first, second = bench.build(), bench.build()
    await switch.activate(first)
    await switch.activate(second)
    asked_before, bench.shuffled = bench.asked_of_retrieval, True
    assert (await switch.rollback()).release_id == first
    assert bench.asked_of_retrieval == asked_before


async def test_a_release_without_probe_users_serves(bench: Bench) -> None:
    record = await bench.switch().activate(bench.build(probed=False))
    assert record.state is ReleaseState.ACTIVE
    assert not bench.asked_of_retrieval


async def test_a_service_that_is_down_refuses_nothing(bench: Bench) -> None:
    bench.broken = True
    release_id = bench.build()
    with pytest.raises(Unavailable, match="ranking is down"):
        await bench.switch().activate(release_id)
    assert bench.state(release_id) == (ReleaseState.BUILT, "")


async def test_a_refused_release_may_be_tried_again(bench: Bench) -> None:
    bench.shuffled = True
    release_id = bench.build()
    await refused(bench, release_id, "recall")
    bench.shuffled = False
    await bench.switch().activate(release_id)
    assert bench.state(release_id) == (ReleaseState.ACTIVE, "")
