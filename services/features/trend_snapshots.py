"""Where the trend is kept over restarts: one row, which replicas share, for all count the same."""

from dataclasses import dataclass

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Engine,
    Integer,
    LargeBinary,
    Table,
    select,
)

from services.common.database import insert_of, metadata

_snapshots = Table(
    "trend_snapshots",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("seq", BigInteger, nullable=False),
    Column("holes", JSON, nullable=False),
    Column("counters", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class TrendSnapshot:
    """Counters, and the part of the log that they count.

    Attributes:
        seq: number of the last event that is counted.
        holes: first and last of the numbers up to `seq` that are not.
        counters: `TrendCounters.dump()`, compressed by zlib.
    """

    seq: int
    holes: list[tuple[int, int]]
    counters: bytes


class TrendSnapshots:
    """Reads and writes the snapshot. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = insert_of(engine)

    def write(self, snapshot: TrendSnapshot) -> None:
        """Keeps a snapshot, unless a newer one is kept."""
        insert = self._insert(_snapshots).values(
            id=1, seq=snapshot.seq, holes=snapshot.holes, counters=snapshot.counters
        )
        new = {name: insert.excluded[name] for name in ("seq", "holes", "counters")}
        upsert = insert.on_conflict_do_update(
            index_elements=["id"], set_=new, where=_snapshots.c.seq <= insert.excluded.seq
        )
        with self._engine.begin() as db:
            db.execute(upsert)

    def read(self) -> TrendSnapshot | None:
        """The snapshot; None without one."""
        query = select(_snapshots.c.seq, _snapshots.c.holes, _snapshots.c.counters)
        with self._engine.connect() as db:
            row = db.execute(query).first()
        if row is None:
            return None
        return TrendSnapshot(row.seq, [(first, last) for first, last in row.holes], row.counters)

    def drop(self) -> None:
        """Forgets the snapshot."""
        with self._engine.begin() as db:
            db.execute(_snapshots.delete())
