"""The floor: one process with the same model, FAISS and dictionaries. No feature store, no event
log, no second service: the least that could answer the same request.

    python -m bench.floor RELEASE_FOLDER DATABASE_URL PORT
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from grpc import aio

from models.final_score import release_scorer
from models.history import HISTORY_LENGTH, UserHistory
from models.release import Release
from services.common.database import open_database
from services.features.event_log import EventLog
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc

CANDIDATES = 500


class FloorServicer(recommender_pb2_grpc.RecommenderServiceServicer):
    """Retrieves with an exact FAISS index, ranks with the two towers, drops seen items."""

    def __init__(self, release: Release, database_url: str) -> None:
        self._release = release
        self._scorer = release_scorer(release)
        vectors = np.ascontiguousarray(release.item_vectors, dtype=np.float32)
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        engine = open_database(database_url)
        events = EventLog(engine).read_frame()
        engine.dispose()
        row_of = release.items.row_of
        events = events[events["item_id"].isin(row_of.keys())]
        self._events = {
            str(user): (
                np.array([row_of[item] for item in part["item_id"]], np.int32),
                part["kind"].to_numpy(np.int8),
                part["timestamp"].to_numpy(np.float64),
                part["value"].to_numpy(np.float32),
            )
            for user, part in events.groupby("user_id", sort=False, observed=True)
        }

    async def Recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:
        rows, kinds, times, values = self._events[request.user_id]
        now = time.time()
        recent = slice(-HISTORY_LENGTH, None)
        user = UserHistory(
            rows[recent],
            kinds[recent],
            (now - times[recent]).astype(np.float32),
            values[recent],
            now,
        )
        query = self._scorer.towers.user_vector(user)[None]
        _, found = self._index.search(query, CANDIDATES + len(rows))
        unseen = found[0][~np.isin(found[0], rows)][:CANDIDATES].astype(np.int32)
        scores = self._scorer.score(user, unseen)
        items = self._release.items
        return pb.RecommendResponse(
            items=[
                pb.RecommendedItem(
                    item_id=items.ids[unseen[at]],
                    score=scores[at],
                    title=items.titles[unseen[at]],
                    sources=["faiss"],
                )
                for at in np.argsort(-scores, kind="stable")[: request.count]
            ],
            release_id=self._release.release_id,
        )


async def _serve(release: Path, database_url: str, port: int) -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    server = aio.server()
    servicer = FloorServicer(Release(release), database_url)  # type: ignore[abstract]
    recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
