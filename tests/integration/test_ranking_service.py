"""The ranking service as it runs on one machine, through each of its entrances."""

import os
import pickle
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from ray.serve.generated import serve_pb2, serve_pb2_grpc

from bench.random_release import clicked, write_random_release
from bench.ranking_process import RankingProcess, start_ranking, stop, until
from deploy.local.health import is_listening, is_serving
from models.release import Release
from models.scorer import TwoTowerScorer
from services.common.database import open_database
from services.common.errors import Unavailable
from services.common.model_input import decode_user, encode_user
from services.common.ports import free_ports
from services.common.releases import ReleaseRegistry
from services.orchestrator.clients import RankingClient
from services.ranking.processes import ray_processes
from tandem.model.v1 import model_pb2
from tandem.ranking.v1 import ranking_pb2, ranking_pb2_grpc

SERVICE = "tandem.ranking.v1.RankingService"
N_ITEMS = 50
ENTRANCES = ["port", "fallback_port", "replica_port"]


@pytest.fixture(scope="module")
def active(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The active release of a state that holds a second, inactive one."""
    state = tmp_path_factory.mktemp("state")
    active = write_random_release(state / "releases", N_ITEMS, dimensions=16, seed=1)
    engine = open_database(f"sqlite:///{state / 'tandem.db'}")
    registry = ReleaseRegistry(engine)
    registry.add(active.release_id, {})
    registry.activate(active.release_id)
    engine.dispose()
    return active


@pytest.fixture(scope="module")
def systems(
    active: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RankingProcess, RankingProcess]]:
    """Two services side by side: one with releases, one whose state is empty and that others may
    call."""
    empty = tmp_path_factory.mktemp("empty")
    opened = {"RANKING_HOST": "0.0.0.0", "RANKING_METRICS_PORT": str(free_ports(1)[0])}
    with start_ranking(active.path.parents[1]) as one, start_ranking(empty, opened) as other:
        one.wait_until_serving()
        other.wait_until_serving()
        yield one, other


@pytest.fixture(scope="module")
def ranking(systems: tuple[RankingProcess, RankingProcess]) -> RankingProcess:
    return systems[0]


@pytest.fixture
def channel(request: pytest.FixtureRequest, ranking: RankingProcess) -> Iterator[grpc.Channel]:
    """A channel to the entrance named by the parameter; to HAProxy without one."""
    entrance = getattr(request, "param", "port")
    port = getattr(ranking, entrance)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


def refusal(call: Any, request: Message) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=10)
    return refused.value.code(), refused.value.details() or ""


@pytest.mark.parametrize("channel", ENTRANCES, indirect=True)
def test_scores_equal_the_scorers(channel: grpc.Channel, active: Release) -> None:
    rows = np.array([5, 1, N_ITEMS - 1, 0], dtype=np.int32)
    scorer = TwoTowerScorer(active)
    stub = ranking_pb2_grpc.RankingServiceStub(channel)
    for user in (clicked(3, 7, 2), clicked()):
        response = stub.Rank(
            ranking_pb2.RankRequest(
                release_id=active.release_id, user=encode_user(user), item_rows=rows.tolist()
            ),
            timeout=10,
        )
        assert response.release_id == active.release_id
        np.testing.assert_array_equal(
            np.array(response.scores, dtype=np.float32), scorer.score(user, rows)
        )


@pytest.mark.parametrize("channel", ENTRANCES, indirect=True)
def test_errors_carry_their_status_and_no_stack_trace(
    channel: grpc.Channel, active: Release
) -> None:
    stub = ranking_pb2_grpc.RankingServiceStub(channel)
    code, text = refusal(stub.Rank, ranking_pb2.RankRequest(release_id="r0", item_rows=[0]))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "r0" in text
    request = ranking_pb2.RankRequest(release_id=active.release_id, item_rows=[0, N_ITEMS])
    code, text = refusal(stub.Rank, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"item_rows: row {N_ITEMS} ")
    assert "Traceback" not in text


@pytest.mark.parametrize("channel", ENTRANCES, indirect=True)
def test_health_and_reflection_are_served(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    code, _ = refusal(health.Check, health_pb2.HealthCheckRequest(service="unknown"))
    assert code == grpc.StatusCode.NOT_FOUND
    requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (listed,) = stub.ServerReflectionInfo(requests, timeout=10)
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


def test_a_release_is_prepared_ahead_of_its_activation(
    channel: grpc.Channel, active: Release
) -> None:
    coming = write_random_release(active.path.parent, N_ITEMS, dimensions=16, seed=2)
    stub = ranking_pb2_grpc.RankingServiceStub(channel)
    request = ranking_pb2.PrepareReleaseRequest(release_id=coming.release_id)
    assert stub.PrepareRelease(request, timeout=20).items == N_ITEMS
    assert stub.PrepareRelease(request, timeout=20).items == N_ITEMS


def test_a_second_system_knows_nothing_of_the_first(
    systems: tuple[RankingProcess, RankingProcess], active: Release
) -> None:
    one, other = systems
    assert not set(one.marks.items()) & set(other.marks.items())
    with grpc.insecure_channel(other.addresses[0]) as channel:
        request = ranking_pb2.RankRequest(release_id=active.release_id, item_rows=[0])
        code, _ = refusal(ranking_pb2_grpc.RankingServiceStub(channel).Rank, request)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_other_hosts_reach_the_ingress_and_metrics_of_an_open_service(
    systems: tuple[RankingProcess, RankingProcess],
) -> None:
    closed, opened = systems
    metrics = int(opened.environment["RANKING_METRICS_PORT"])
    elsewhere = "127.0.0.2"  # an address of this machine that only open ports listen on
    with urllib.request.urlopen(f"http://{elsewhere}:{metrics}/metrics", timeout=10) as answer:
        assert b"ray_serve" in answer.read()
    assert is_serving(f"{elsewhere}:{opened.port}")
    assert not is_listening(f"{elsewhere}:{closed.port}")
    for name in ("ray-gcs", "ray-raylet", "ray-haproxy", "ray-dashboard-agent"):
        for pid in opened.pids(name):
            assert _open_ports(pid) <= {opened.port, metrics}


def _open_ports(pid: int) -> set[int]:
    """Ports on which a process listens for other hosts."""
    return {
        each.laddr.port
        for each in psutil.Process(pid).net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
        and each.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    }


class Intruder:
    """Pickles to a command that creates a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def test_the_port_that_unpickles_refuses_calls_without_the_token(
    ranking: RankingProcess, tmp_path: Path
) -> None:
    (pid,) = ranking.pids("ranking")
    token = psutil.Process(pid).environ()["RAY_AUTH_TOKEN"]

    def outcomes(name: str, metadata: tuple[tuple[str, str], ...]) -> set[grpc.StatusCode]:
        pickled = pickle.dumps(Intruder(tmp_path / name))
        request = serve_pb2.ASGIRequest(pickled_request_metadata=pickled)
        codes = set()
        for port in ranking.replica_listeners():
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = serve_pb2_grpc.ASGIServiceStub(channel)
                with pytest.raises(grpc.RpcError) as failed:
                    stub.HandleRequestWithRejection(request, timeout=5, metadata=metadata)
                codes.add(failed.value.code())
        return codes

    assert grpc.StatusCode.UNAUTHENTICATED in outcomes("none", ())
    assert grpc.StatusCode.UNAUTHENTICATED in outcomes(
        "wrong", (("authorization", "Bearer " + "0" * len(token)),)
    )
    assert list(tmp_path.iterdir()) == []
    # The same call with the token does run the command: without it, the token was what refused.
    outcomes("right", (("authorization", f"Bearer {token}"),))
    assert [file.name for file in tmp_path.iterdir()] == ["right"]


async def _rank_until_answered(ranking: RankingProcess, active: Release) -> list[float]:
    """Times of the calls that failed, until one succeeds; only UNAVAILABLE may fail them."""
    failed: list[float] = []
    client = RankingClient(ranking.addresses)
    nobody = decode_user(model_pb2.UserInput())
    ends = time.monotonic() + 30
    try:
        while time.monotonic() < ends:
            began = time.monotonic()
            try:
                rows = np.array([0, 1], np.int32)
                await client.rank(active.release_id, nobody, rows, 5, explain=False)
                return failed
            except Unavailable:
                failed.append(time.monotonic() - began)
    finally:
        await client.close()
    raise AssertionError("no answer for 30 seconds")


async def test_a_killed_replica_is_replaced_and_calls_fail_fast_meanwhile(
    ranking: RankingProcess, active: Release
) -> None:
    (pid,) = ranking.pids("ranking")
    os.kill(pid, signal.SIGKILL)
    failed = await _rank_until_answered(ranking, active)
    assert failed, "the replica was alone"
    assert np.median(failed) < 0.5
    assert until(lambda: ranking.pids("ranking") not in ([], [pid]), 10)


@pytest.mark.parametrize("victim", ["ray-haproxy", "ray-proxy"])
async def test_either_proxy_may_die_without_a_failed_call(
    ranking: RankingProcess, active: Release, victim: str
) -> None:
    for pid in ranking.pids(victim):
        os.kill(pid, signal.SIGKILL)
    assert await _rank_until_answered(ranking, active) == []
    ranking.wait_until_serving(30)


def test_sigterm_leaves_no_process_and_a_restart_cleans_up_after_sigkill(
    systems: tuple[RankingProcess, RankingProcess],
) -> None:
    one, other = systems
    processes = _all_processes(one)
    assert stop(one.driver) == 0
    assert [left for left in processes if _is_running(left)] == []

    orphans = _all_processes(other)
    other.driver.kill()
    other.driver.wait()
    assert [left for left in orphans if _is_running(left)], "nothing to clean up"
    restarted = other.relaunch()
    assert until(lambda: not any(map(_is_running, orphans)), 30)
    restarted.wait_until_serving()
    assert stop(restarted.driver) == 0


def _all_processes(ranking: RankingProcess) -> list[psutil.Process]:
    driver = psutil.Process(ranking.driver.pid)
    found = [driver, *driver.children(recursive=True)]
    named = dict(ray_processes(ranking.marks))
    assert {"ranking", "ray-haproxy", "ray-raylet", "ray-gcs", "ray-driver"} <= set(named)
    assert set(named.values()) <= {process.pid for process in found}
    return found


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
