"""A DNS server for one name, whose addresses a test may change."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

_A, _ANSWER, _NO_ERROR_AUTHORITATIVE = 1, b"\xc0\x0c\x00\x01\x00\x01", 0x8580


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with `addresses`, which live for no time.

    Attributes:
        addresses: IPv4 addresses of any name.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        name_end = data.index(b"\0", 12) + 1
        question = data[12 : name_end + 4]
        is_ipv4 = int.from_bytes(question[-4:-2]) == _A
        answers = [
            _ANSWER + b"\0\0\0\0" + b"\0\x04" + socket.inet_aton(address)
            for address in (self.addresses if is_ipv4 else ())
        ]
        counts = (_NO_ERROR_AUTHORITATIVE, 1, len(answers), 0, 0)
        head = data[:2] + b"".join(number.to_bytes(2) for number in counts)
        self._transport.sendto(head + question + b"".join(answers), addr)


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[tuple[NameServer, str]]:
    """A name server on loopback, and its `host:port`."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(addresses), ("127.0.0.1", 0)
    )
    try:
        yield server, "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
