"""Honest logs show no skew, and a planted one is found and named."""

import json
import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from services.common.skew_runs import SkewRuns
from services.features.past import PastLog, Span
from tandem_cli.main import main
from tests.unit.training.served_world import N_ITEMS, Message, World, alter, busy, hours, world
from training.commands import run
from training.skew.__main__ import main as scheduled
from training.skew.drift import psi
from training.skew.report import measure

__all__ = ["world"]


def test_an_honest_log_shows_no_difference(world: World) -> None:
    busy(world, 30)
    for user in range(6):  # later events are not known to earlier requests
        world.record(f"u{user}", 3)
    found = world.parity()
    assert found.fault() == ""
    assert len(found.asked) == found.requests == 30
    assert not found.skipped
    assert {each.compared for each in found.features.values()} == {30}
    score = found.scores[world.release.release_id]
    assert (score.requests, score.skipped) == (30, 0)
    assert score.scores > 30 * 20
    logged = [asked.logged for asked in found.asked]
    for part in ("friends", "trend", "trend_here"):
        assert any(len(getattr(user.around, part)) for user in logged), part
    assert any(len(user.factors) for user in logged)


def _no_numbers(message: Message) -> None:
    message.user.history_values[:] = [math.nan for _ in message.user.history_values]


def _shift_rows(message: Message) -> None:
    message.user.history_rows[:] = [(row + 1) % N_ITEMS for row in message.user.history_rows]


def _no_region(message: Message) -> None:
    message.user.region = "elsewhere"


def _no_trend(message: Message) -> None:
    message.user.trend.Clear()


def _half_friends(message: Message) -> None:
    message.user.friends.weights[:] = [weight / 2 for weight in message.user.friends.weights]


def _no_factors(message: Message) -> None:
    del message.user.factors[:]


def _no_seen(message: Message) -> None:
    del message.seen_steps[:]


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("history_ages", hours),
        ("history_values", _no_numbers),
        ("history_rows", _shift_rows),
        ("region", _no_region),
        ("trend", _no_trend),
        ("friends", _half_friends),
        ("factors", _no_factors),
        ("seen", _no_seen),
    ],
)
def test_a_planted_difference_is_named(
    world: World, name: str, plant: Callable[[Message], None]
) -> None:
    busy(world, 6)
    alter(world, plant)
    found = world.parity()
    assert [each.name for each in found.features.values() if each.differing] == [name]
    assert found.fault().startswith(f"{name} differs in ")


def test_scores_that_the_release_would_not_give_are_found(world: World) -> None:
    busy(world, 4)

    def plant(message: Message) -> None:
        message.ranked_scores[0] += 0.01 + abs(message.ranked_scores[0]) / 100

    alter(world, plant)
    found = world.parity()
    assert not any(each.differing for each in found.features.values())
    assert found.fault().startswith(f"scores of release {world.release.release_id} differ")


def test_the_command_exits_with_one_and_names_the_feature(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    busy(world, 4)
    main(["skew", "--state", str(world.state), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["requests"], document["fault"]) == (4, "")
    alter(world, hours)
    with pytest.raises(SystemExit) as ended:
        main(["skew", "--state", str(world.state)])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: history_ages differs in ")


def test_a_scheduled_comparison_ends_with_one_line_that_names_the_feature(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    busy(world, 4)
    where = ("--database-url", world.database_url, "--release-root", str(world.releases))
    run(scheduled, [*where, "--requests", "3"])
    document = json.loads(capsys.readouterr().out)
    assert (document["requests"], document["fault"]) == (3, "")
    alter(world, hours)
    with pytest.raises(SystemExit) as ended:
        run(scheduled, [*where, "--requests", "3"])
    told = capsys.readouterr().err
    assert ended.value.code == 1 and told.count("\n") == 1
    assert told.startswith("error: history_ages differs in ")
    kept = SkewRuns(world.engine).newest()
    assert kept is not None and kept.compared == 3
    assert [each.feature for each in kept.features if each.differing] == ["history_ages"]


def test_drift_is_of_each_feature_and_only_said(world: World) -> None:
    busy(world, 12)
    found, drifts = measure(world.engine, world.releases, 100)
    assert found.fault() == ""
    drift = {each.feature: each for each in drifts}
    assert {"history_ages", "region", "trend", "scores"} <= set(drift)
    assert all(np.isfinite(each.psi) and not each.drifted for each in drift.values())


def test_requests_of_a_release_that_is_gone_are_counted(world: World) -> None:
    busy(world, 3)
    world.release.path.rename(world.state / "elsewhere")
    found = world.parity()
    assert (found.requests, len(found.asked), dict(found.skipped)) == (3, 0, {"no release": 3})


def test_psi_is_zero_for_the_same_and_large_for_another_distribution() -> None:
    rng = np.random.default_rng(0)
    one, same = rng.normal(size=5_000), rng.normal(size=5_000)
    assert psi(one, one) == 0
    assert psi(one, same) < 0.02
    assert psi(one, same + 1) > 0.25
    constant = np.zeros(100)
    assert psi(constant, constant) == 0
    assert psi(constant, constant + 1) > 0.25
    texts = np.array(["a", "b"] * 100, object)
    assert psi(texts, texts) == 0
    assert psi(texts, np.array(["c"] * 50, object)) > 0.25


def test_where_events_were_removed_the_moment_decides(world: World) -> None:
    for row in range(4):
        world.record("u", row)
    log = world.features.log
    world.features.log.expire(time.time(), 2)
    past = PastLog(world.engine)
    assert past.removed() == 2
    user, version, now = past.user("u"), log.version("u"), time.time()
    long_after = user.at_version(version, Span(now + 10, now + 11))
    assert long_after is not None
    assert sorted(event.item_id for event in long_after) == ["item-2", "item-3"]
    assert user.at_version(version, Span(now - 1, now + 1)) is None
