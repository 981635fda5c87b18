"""Batch recommendations: one ranked list a user and release, written once, read at any time."""

from collections.abc import Iterable, Sequence

from sqlalchemy import JSON, Column, Engine, String, Table, delete, insert, select

from services.common.database import metadata

_stored = Table(
    "stored_recommendations",
    metadata,
    Column("release_id", String(64), primary_key=True),
    Column("user_id", String(128), primary_key=True),
    Column("item_ids", JSON, nullable=False),
    Column("scores", JSON, nullable=False),
)

_CHUNK = 2_000  # users an INSERT


class StoredRecommendations:
    """Reads and writes stored lists. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(
        self, release_id: str, lists: Iterable[tuple[str, Sequence[str], Sequence[float]]]
    ) -> int:
        """Replaces all lists of a release by `(user_id, item_ids, scores)`, best first.

        In one transaction: when `lists` or the database fails, what was stored before still is,
        and readers see the old lists until all new ones are there. SQLite has one writer at a
        time, so `lists` should be ready to be read, not to be computed.

        Returns:
            The number of users written.
        """
        written = 0
        with self._engine.begin() as db:
            db.execute(delete(_stored).where(_stored.c.release_id == release_id))
            chunk: list[dict[str, object]] = []
            for user_id, item_ids, scores in lists:
                chunk.append(
                    {
                        "release_id": release_id,
                        "user_id": user_id,
                        "item_ids": list(item_ids),
                        "scores": [float(score) for score in scores],
                    }
                )
                if len(chunk) == _CHUNK:
                    db.execute(insert(_stored), chunk)
                    written += len(chunk)
                    chunk = []
            if chunk:
                db.execute(insert(_stored), chunk)
                written += len(chunk)
        return written

    def read(self, release_id: str, user_id: str) -> tuple[list[str], list[float]] | None:
        """A user's list as `(item_ids, scores)`, best first; None without one."""
        with self._engine.connect() as db:
            row = db.execute(
                select(_stored.c.item_ids, _stored.c.scores)
                .where(_stored.c.release_id == release_id)
                .where(_stored.c.user_id == user_id)
            ).first()
        return None if row is None else (list(row.item_ids), list(row.scores))
