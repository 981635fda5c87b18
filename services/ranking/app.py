"""The Ray Serve application: `services.ranking.app:build`, in a Ray cluster's Serve config."""

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig

from services.ranking.deployment import NAME, RankingDeployment
from services.ranking.settings import RankingSettings

GRPC_SERVICERS = [
    "tandem.ranking.v1.ranking_pb2_grpc.add_RankingServiceServicer_to_server",
    "grpc_health.v1.health_pb2_grpc.add_HealthServicer_to_server",
]
"""What `grpc_options.grpc_servicer_functions` must list."""

REPLICA_CPUS = 0.1
"""Cores that Ray reserves for a replica: little, so that all of them fit on a small machine.
Autoscaling goes by calls in progress; the operating system shares the cores."""


def build(args: dict[str, str]) -> Application:
    """Builds the application.

    Args:
        args: settings by name; they override the environment variables `RANKING_*`.

    Raises:
        pydantic.ValidationError: a setting is missing or wrong.
    """
    settings = RankingSettings.model_validate(args)
    deployment = serve.deployment(
        RankingDeployment,
        name=NAME,
        autoscaling_config=AutoscalingConfig(
            min_replicas=settings.min_replicas,
            max_replicas=settings.max_replicas,
            target_ongoing_requests=settings.target_ongoing_requests,
            # Deprecated, yet the only knob that Ray 2.60 obeys; its replacements are read nowhere.
            metrics_interval_s=settings.metrics_interval_seconds,
            look_back_period_s=4 * settings.metrics_interval_seconds,
            upscale_delay_s=settings.upscale_delay_seconds,
            downscale_delay_s=settings.downscale_delay_seconds,
        ),
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=settings.max_concurrent_requests - settings.max_ongoing_requests,
        ray_actor_options={"num_cpus": REPLICA_CPUS},
        health_check_period_s=1,
        health_check_timeout_s=5,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        graceful_shutdown_wait_loop_s=0.2,
    )
    return deployment.bind(settings)
