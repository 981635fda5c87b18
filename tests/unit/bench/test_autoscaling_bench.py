from pathlib import Path

import pytest

from bench.autoscaling import Watched, describe, plot


@pytest.fixture
def watched() -> Watched:
    """One call a tenth of a second before and after, a hundred between, which two replicas share
    from the third second on."""
    calls = [(at / 10, 2.0) for at in (*range(-50, 0), *range(100, 250))]
    calls += [(at / 100, 20.0 if at < 300 else 5.0) for at in range(1_000)]
    moments = [at / 4 for at in range(-20, 100)]
    replicas = [(moment, 2 if 3 <= moment < 15 else 1) for moment in moments]
    return Watched(sorted(calls), ["UNAVAILABLE"], replicas)


def test_replicas_and_latencies_are_told_over_time(watched: Watched, tmp_path: Path) -> None:
    document = describe(watched, clients=16, seconds=10)
    assert document["failed"] == 1
    assert document["errors"] == ["UNAVAILABLE"]
    assert document["replicas_before"] == document["replicas_after"] == 1
    assert document["replicas_most"] == 2
    assert document["seconds_to"] == {"2": 3.0}
    assert document["seconds_to_return"] == 5.0
    assert document["calls_per_second"] == 100
    by_second = {each["seconds"]: each for each in document["series"]}
    assert by_second[-2]["calls_per_second"] == 10
    assert by_second[2]["p99_ms"] == 20
    assert by_second[4] == {"seconds": 4, "calls_per_second": 100, "p99_ms": 5, "replicas": 2}
    plot(document, tmp_path / "plots" / "scaling.png")
    assert (tmp_path / "plots" / "scaling.png").stat().st_size > 0
