"""Budgets of promotions: how often each may still be shown, over all replicas.

A replica spends from advances that it took from the database beforehand, so no request waits for
it, and no budget is exceeded. What a replica has in advance when it is killed is never shown.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import BigInteger, Column, Engine, String, Table, select, update
from sqlalchemy.exc import SQLAlchemyError

from services.common.database import insert_of, metadata
from services.orchestrator.rules import Promotion

_LARGEST_ADVANCE = 100
_LOW_SHARE = 0.5  # of an advance, below which another is taken
_POLL_SECONDS = 0.1
_IDLE_SECONDS = 60.0

log = logging.getLogger(__name__)

_spent = Table(
    "promotion_spend",
    metadata,
    Column("name", String(192), primary_key=True),
    Column("spent", BigInteger, nullable=False),
)


class Budgets(Protocol):
    def take(self, promotion: Promotion) -> bool:
        """Whether a promotion may be shown once more; if so, that is spent. Never waits."""


class Unlimited:
    """Budgets of what is only tried out."""

    def take(self, promotion: Promotion) -> bool:
        return promotion.budget is None or promotion.budget > 0


class SpentBudgets:
    """What was spent, by promotion. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = insert_of(engine)

    def advance(self, name: str, wanted: int, allowed: int) -> int:
        """Spends up to `wanted` more, and no more than `allowed` in all; returns how much."""
        with self._engine.begin() as db:
            db.execute(
                self._insert(_spent)
                .values(name=name, spent=0)
                .on_conflict_do_nothing(index_elements=["name"])
            )
            # Locks the row until the end of the transaction; SQLite holds its one lock by now.
            spent = db.scalar(select(_spent.c.spent).where(_spent.c.name == name).with_for_update())
            granted = max(0, min(wanted, allowed - int(spent or 0)))
            if granted:
                self._add(db, name, granted)
        return granted

    def give_back(self, name: str, unspent: int) -> None:
        """Takes back what was not shown."""
        with self._engine.begin() as db:
            self._add(db, name, -unspent)

    def spent(self, names: Sequence[str]) -> dict[str, int]:
        """What was spent or is in advance, by name."""
        with self._engine.connect() as db:
            rows = db.execute(select(_spent).where(_spent.c.name.in_(names)))
            return {row.name: row.spent for row in rows}

    @staticmethod
    def _add(db: object, name: str, amount: int) -> None:
        db.execute(  # type: ignore[attr-defined]
            update(_spent).where(_spent.c.name == name).values(spent=_spent.c.spent + amount)
        )


@dataclass
class _Advance:
    left: int = 0
    used_at: float = 0.0
    empty: bool = False  # the database had no more to give, for now


class PromotionBudgets:
    """`Budgets` of a replica.

    Args:
        spent: shared by all replicas.
    """

    def __init__(self, spent: SpentBudgets) -> None:
        self._shared = spent
        self._promotions: dict[str, Promotion] = {}
        self._advances: dict[str, _Advance] = {}
        self._wake = asyncio.Event()
        self._working = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to take advances; needs the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def follow(self, promotions: Sequence[Promotion]) -> None:
        """Takes first advances for promotions about to hold; gives back those of others."""
        self._promotions = {p.key: p for p in promotions if p.budget is not None}
        await self._round()

    def take(self, promotion: Promotion) -> bool:
        if promotion.budget is None:
            return True
        advance = self._advances.get(promotion.key)
        if advance is None or not advance.left:
            self._wake.set()
            return False
        advance.left -= 1
        advance.used_at = time.monotonic()
        if advance.left < _LOW_SHARE * _advance_of(promotion):
            self._wake.set()
        return True

    async def close(self) -> None:
        """Gives back what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._promotions = {}
        await self._round()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._round()
            await asyncio.sleep(_POLL_SECONDS)

    async def _round(self) -> None:
        async with self._working:
            for key in [*self._promotions, *(set(self._advances) - set(self._promotions))]:
                try:
                    await self._settle(key)
                except SQLAlchemyError as error:
                    why = str(error).partition("\n")[0]
                    log.warning("no advance on a promotion", extra={"name": key, "reason": why})
                except Exception:  # a task that ended would end all promotions
                    log.exception("no advance on a promotion", extra={"name": key})

    async def _settle(self, key: str) -> None:
        promotion, advance = self._promotions.get(key), self._advances.get(key)
        idle = advance is not None and time.monotonic() - advance.used_at > _IDLE_SECONDS
        if promotion is None or (idle and advance is not None and advance.left):
            self._advances.pop(key, None)
            if advance is not None and advance.left:
                await asyncio.to_thread(self._shared.give_back, key, advance.left)
            return
        if advance is None:
            advance = self._advances[key] = _Advance(used_at=time.monotonic())
        wanted = _advance_of(promotion) - advance.left
        granted = await asyncio.to_thread(
            self._shared.advance, key, wanted, allowed_by(promotion, time.time())
        )
        advance.left += granted


def allowed_by(promotion: Promotion, now: float) -> int:
    """How often a promotion may have been shown by a moment, in Unix seconds."""
    assert promotion.budget is not None
    if promotion.pacing == "asap":
        return promotion.budget
    starts, ends = promotion.span
    share = (now - starts) / (ends - starts)
    return math.floor(promotion.budget * min(max(share, 0.0), 1.0))


def _advance_of(promotion: Promotion) -> int:
    assert promotion.budget is not None
    return min(_LARGEST_ADVANCE, promotion.budget)
