"""The items like an item, computed from a state's event log by any method."""

from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import make_url

from deploy.local.state import State, StateError
from models.neighbours import METRICS, MISSING, item_neighbours
from models.release import Release
from services.common.database import open_database
from services.common.errors import InvalidArgument, NotFound
from services.common.releases import ReleaseRegistry
from services.features.event_log import EventLog
from tandem.recommender.v1 import recommender_pb2 as pb
from training.config import NeighbourConfig
from training.data import InteractionData, assemble, empty_items, empty_users
from training.sequences import event_sequences
from training.utility import UtilityWeights, composite_utility


def similar_from_log(
    state: State, item_id: str, count: int, method: str, missing: str
) -> pb.SimilarItemsResponse:
    """The nearest items, from all events recorded so far.

    Weights of events, shrinkage, support and titles are those of the release that serves, as are
    method and rule where empty; without a release, defaults.

    Raises:
        StateError: the state holds no event log.
        InvalidArgument: no such method or rule.
        NotFound: the log holds no event on the item.
    """
    for field, name, known in (("method", method, METRICS), ("missing", missing, MISSING)):
        if name and name not in known:
            raise InvalidArgument(field, f"{name!r} is not one of {', '.join(known)}")
    log, release = _read(state)
    ids = log.items["item_id"].to_numpy(dtype=object)
    found = np.flatnonzero(ids == item_id)
    if not len(found):
        raise NotFound(f"item: the event log holds no event on {item_id!r}")
    config: dict[str, Any] = release.manifest.config if release else {}
    near = NeighbourConfig(**config.get("neighbours", {}))
    weights = UtilityWeights(**config.get("utility", {}))
    method, missing = method or near.metric, missing or near.missing
    neighbours = item_neighbours(
        composite_utility(event_sequences(log), len(ids), weights),
        metric=method,
        missing=missing,
        shrink=near.shrink,
        min_support=near.min_support,
        m=count,
        of=found,
    )
    real = neighbours.rows[0] >= 0
    titles = _titles(release)
    return pb.SimilarItemsResponse(
        items=[
            pb.SimilarItem(item_id=near_id, score=score, title=titles.get(near_id, ""))
            for near_id, score in zip(
                ids[neighbours.rows[0][real]], neighbours.scores[0][real].tolist(), strict=True
            )
        ],
        method=method,
        missing=missing,
    )


def _read(state: State) -> tuple[InteractionData, Release | None]:
    """The log, and the release that serves or is about to, if there is one."""
    if not _has_database(state):
        raise StateError(f"{state.path}: holds no event log to compute from")
    engine = open_database(state.database_url)
    try:
        frame = EventLog(engine).read_frame()
        registry = ReleaseRegistry(engine)
        release_id = registry.active() or registry.pending()
    finally:
        engine.dispose()
    release = Release(state.releases / release_id) if release_id else None
    return assemble(frame, empty_items(), empty_users()), release


def _has_database(state: State) -> bool:
    path = make_url(state.database_url).database
    return path is not None and Path(path).exists()


def _titles(release: Release | None) -> dict[str, str]:
    return dict(zip(release.items.ids, release.items.titles, strict=True)) if release else {}
