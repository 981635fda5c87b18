"""What budgets of promotions promise, on SQLite and PostgreSQL alike, over several replicas."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from services.common.database import open_database
from services.orchestrator.budgets import PromotionBudgets, SpentBudgets, allowed_by
from services.orchestrator.rules import Promotion

FULL = 1_000


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield engine
    engine.dispose()


def promotion(**changes: Any) -> Promotion:
    return Promotion(**{"item_id": "i", "slot": 1, "budget": FULL, **changes})


async def spend(budgets: PromotionBudgets, each: Promotion, times: int) -> int:
    """How often it was granted, of some times that leave room for advances in between."""
    granted = 0
    for _ in range(times):
        granted += budgets.take(each)
        await asyncio.sleep(0)
    return granted


async def test_the_first_request_after_rules_hold_can_spend(engine: Engine) -> None:
    budgets, ad = PromotionBudgets(SpentBudgets(engine)), promotion(budget=3)
    assert not budgets.take(ad)  # nobody follows it yet
    await budgets.follow([ad])
    assert [budgets.take(ad) for _ in range(5)] == [True, True, True, False, False]


async def test_replicas_together_never_exceed_a_budget(engine: Engine) -> None:
    replicas = [PromotionBudgets(SpentBudgets(engine)) for _ in range(3)]
    ad = promotion(budget=250)
    for each in replicas:
        await each.follow([ad])
        each.start()
    shown = 0
    for _ in range(10):
        shown += sum(await asyncio.gather(*(spend(each, ad, 40) for each in replicas)))
        assert shown <= 250
        await asyncio.sleep(0.15)
    for each in replicas:
        await each.close()
    assert shown == 250
    assert SpentBudgets(engine).spent([ad.key]) == {ad.key: 250}


async def test_what_a_replica_did_not_show_another_can(engine: Engine) -> None:
    ad = promotion(budget=10)
    first, second = (PromotionBudgets(SpentBudgets(engine)) for _ in range(2))
    await first.follow([ad])
    assert first.take(ad)
    await second.follow([ad])
    assert not second.take(ad)
    await first.close()
    assert SpentBudgets(engine).spent([ad.key]) == {ad.key: 1}
    await second.follow([ad])
    assert await spend(second, ad, 20) == 9


async def test_a_budget_is_kept_when_rules_change_and_a_larger_one_goes_on(engine: Engine) -> None:
    budgets = PromotionBudgets(SpentBudgets(engine))
    small, large = (promotion(name="ad", budget=budget) for budget in (2, 5))
    await budgets.follow([small])
    assert await spend(budgets, small, 9) == 2
    await budgets.follow([])
    await budgets.follow([large])
    assert await spend(budgets, large, 9) == 3


async def test_without_a_budget_nothing_is_counted(engine: Engine) -> None:
    budgets, ad = PromotionBudgets(SpentBudgets(engine)), promotion(budget=None)
    await budgets.follow([ad])
    assert await spend(budgets, ad, 50) == 50
    assert SpentBudgets(engine).spent([ad.key]) == {}


def test_even_pacing_allows_a_budget_bit_by_bit() -> None:
    starts, ends = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 11))
    ad = promotion(pacing="even", starts=starts, ends=ends)
    day = 86_400
    allowed = [allowed_by(ad, starts.timestamp() + days * day) for days in (-1, 0, 1, 5, 10, 99)]
    assert allowed == [0, 0, 100, 500, FULL, FULL]
    assert allowed_by(promotion(), 0.0) == FULL
