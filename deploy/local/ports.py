"""Free loopback ports."""

import socket
from contextlib import ExitStack
from dataclasses import fields, replace

from deploy.local.state import Ports, StateError


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Distinct ports that are free now; another program may still take one before we do."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


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
