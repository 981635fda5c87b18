"""The ports of a system: kept from start to start, while they are free."""

from dataclasses import fields, replace

from deploy.local.state import Ports, StateError
from services.common.ports import free_ports, is_free


def choose(known: Ports, public: int | None) -> Ports:
    """The ports for a start: those known where they are still free, fresh ones elsewhere.

    Raises:
        StateError: the public port is taken.
    """
    ports = known if public is None else replace(known, orchestrator=public)
    if ports.orchestrator == 0:
        ports = replace(ports, orchestrator=free_ports(1)[0])
    if not is_free(ports.orchestrator):
        raise StateError(
            f"port {ports.orchestrator} is taken by another program; choose one with --port"
        )
    names = [field.name for field in fields(ports) if field.name != "orchestrator"]
    stale = [n for n in names if getattr(ports, n) == 0 or not is_free(getattr(ports, n))]
    return replace(ports, **dict(zip(stale, free_ports(len(stale)), strict=True)))
