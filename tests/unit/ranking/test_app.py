"""The application carries the settings that Ray Serve scales and sheds by."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.ranking.app import GRPC_SERVICERS, build
from services.ranking.environment import ray_environment
from services.ranking.settings import RankingSettings
from tandem.ranking.v1 import ranking_pb2

# Ray 2.60 announces variables that it does not read yet.
pytestmark = pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field:DeprecationWarning")


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, str]:
    return {"release_root": str(tmp_path), "database_url": "sqlite://"}


def test_limits_and_scaling_come_from_the_settings(arguments: dict[str, str]) -> None:
    limits = {"max_ongoing_requests": "8", "max_concurrent_requests": "20"}
    scaling = {"min_replicas": "2", "max_replicas": "5", "upscale_delay_seconds": "3"}
    deployment = build({**arguments, **limits, **scaling})._bound_deployment
    assert deployment.max_ongoing_requests == 8
    assert deployment.max_queued_requests == 12
    autoscaling = deployment._deployment_config.autoscaling_config
    assert (autoscaling.min_replicas, autoscaling.max_replicas) == (2, 5)
    assert autoscaling.upscale_delay_s == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_replicas": "3", "max_replicas": "2"},
        {"max_concurrent_requests": "4", "max_ongoing_requests": "5"},
        {"runtime_dir": "/a/folder/so/deep/that/no/socket/fits/below/it"},
        {"replicas": "2"},
    ],
)
def test_settings_that_cannot_work_are_refused(
    arguments: dict[str, str], wrong: dict[str, str]
) -> None:
    with pytest.raises(ValidationError):
        build({**arguments, **wrong})


def test_the_listed_servicers_exist() -> None:
    from ray.serve.config import gRPCOptions

    options = gRPCOptions(grpc_servicer_functions=GRPC_SERVICERS)
    assert len(options.grpc_servicer_func_callable) == len(GRPC_SERVICERS)


def test_two_systems_share_no_file_port_or_token(arguments: dict[str, str]) -> None:
    one, other = (
        ray_environment(
            RankingSettings(
                release_root=Path(arguments["release_root"]),
                database_url=arguments["database_url"],
                runtime_dir=Path(f"/tmp/{name}"),
                fallback_port=port,
                metrics_port=port + 1,
            )
        )
        for name, port in (("one", 50_155), ("other", 50_255))
    )
    own = {name for name in one if any(word in name for word in ("PORT", "PATH", "FILE", "TOKEN"))}
    shared = {name for name in own if one[name] == other[name]}
    assert shared == {"RAY_SERVE_HAPROXY_BINARY_PATH"}


def test_ray_serve_finds_every_rpc_by_its_name() -> None:
    from services.ranking.deployment import RankingDeployment

    rpcs = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].methods_by_name
    assert [name for name in rpcs if not hasattr(RankingDeployment, name)] == []
