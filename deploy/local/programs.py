"""The laptop's process list: what runs, with which settings. Kubernetes has the same list as
manifests."""

import sys

from deploy.local.state import Ports, State
from deploy.local.supervisor import Program


def programs(state: State, ports: Ports) -> list[Program]:
    """The supervised programs of a system, in the order in which they depend on each other."""
    return [
        _milvus(state, ports),
        _ranking(state, ports),
        _features(state, ports),
        _retrieval(state, ports),
        _orchestrator(state, ports),
    ]


def _milvus(state: State, ports: Ports) -> Program:
    address = f"127.0.0.1:{ports.milvus}"
    arguments = ("--db", str(state.milvus_db), "--address", address)
    return Program("milvus", (*_python("deploy.local.milvus"), *arguments), {})


def _features(state: State, ports: Ports) -> Program:
    return Program(
        "features",
        _python("services.features"),
        {
            **_common("FEATURES", state, ports.features),
            "FEATURES_STORE_ROOT": str(state.features),
        },
    )


def _retrieval(state: State, ports: Ports) -> Program:
    return Program(
        "retrieval",
        _python("services.retrieval"),
        {
            **_common("RETRIEVAL", state, ports.retrieval),
            "RETRIEVAL_MILVUS_URI": f"http://127.0.0.1:{ports.milvus}",
        },
    )


def _ranking(state: State, ports: Ports) -> Program:
    return Program(
        "ranking-driver",
        _python("services.ranking"),
        {
            **_common("RANKING", state, ports.ranking),
            "RANKING_FALLBACK_PORT": str(ports.ranking_fallback),
            "RANKING_RUNTIME_DIR": str(state.runtime / "ray"),
        },
    )


def _orchestrator(state: State, ports: Ports) -> Program:
    return Program(
        "orchestrator",
        _python("services.orchestrator"),
        {
            **_common("ORCHESTRATOR", state, ports.orchestrator),
            "ORCHESTRATOR_RULES_FILE": str(state.rules),
            "ORCHESTRATOR_FEATURES_ADDRESSES": f'["127.0.0.1:{ports.features}"]',
            "ORCHESTRATOR_RETRIEVAL_ADDRESSES": f'["127.0.0.1:{ports.retrieval}"]',
            "ORCHESTRATOR_RANKING_ADDRESSES": (
                f'["127.0.0.1:{ports.ranking}", "127.0.0.1:{ports.ranking_fallback}"]'
            ),
        },
    )


def _common(prefix: str, state: State, port: int) -> dict[str, str]:
    return {
        f"{prefix}_PORT": str(port),
        f"{prefix}_RELEASE_ROOT": str(state.releases),
        f"{prefix}_DATABASE_URL": state.database_url,
    }


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)
