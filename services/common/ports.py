"""Free loopback ports, for what chooses its own."""

import random
import socket

_FIRST, _LAST = 20_000, 32_767
"""Above Ray's workers, and below what Linux gives to outgoing connections."""

_ATTEMPTS = 10_000


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
    """Distinct ports that are free now. Another server may still take one before we do, but no
    outgoing connection can: those that bind to 0 get ports of another range.

    Raises:
        OSError: there are not so many.
    """
    draw, found = random.Random(), set[int]()
    for _ in range(_ATTEMPTS):
        if len(found) == count:
            return list(found)
        port = draw.randint(_FIRST, _LAST)
        if port not in found and is_free(port):
            found.add(port)
    raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
