"""Each text of rules that was in use, by its digest: what a replay reads."""

import time

from sqlalchemy import Column, Double, Engine, String, Table, Text, select

from services.common.database import insert_of, metadata

_rules = Table(
    "rules",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("first_used_at", Double, nullable=False),
)


class RulesArchive:
    """Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = insert_of(engine)

    def put(self, digest: str, text: str) -> None:
        """Keeps a text; one that is known changes nothing."""
        row = {"digest": digest, "text": text, "first_used_at": time.time()}
        with self._engine.begin() as db:
            db.execute(
                self._insert(_rules).values(row).on_conflict_do_nothing(index_elements=["digest"])
            )

    def get(self, digest: str) -> str | None:
        """The text of a digest; None when it was never kept."""
        with self._engine.connect() as db:
            text: str | None = db.scalar(select(_rules.c.text).where(_rules.c.digest == digest))
        return text
