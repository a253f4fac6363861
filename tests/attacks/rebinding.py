"""An admin in a network of its own, whose name server lies: ``rebinding.py DATA``.

One line of JSON tells, of each name that is registered, what admin answered and who was connected to.
"""

import asyncio
import fcntl
import json
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import Final, cast

from tests.services.admin.harness import ELEMENTS, Port, admin_settings, running_admin

INSIDE, ALLOWED = "127.0.0.1", "127.0.0.2"
"""Of both, admin may ask the second alone for an element."""

LIES: Final = {"good-first.example": (ALLOWED, INSIDE), "bad-first.example": (INSIDE, ALLOWED)}
"""For what each name stands when it is asked for first, and ever after."""

_SET_FLAGS, _UP = 0x8914, 1  # SIOCSIFFLAGS, IFF_UP of netdevice(7)
_ADDRESS: Final = 1  # QTYPE of RFC 1035 section 3.2.2


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an address with the next one (RFC 1035), which holds for no time at all."""

    def __init__(self, addresses: Mapping[str, Iterator[str]]) -> None:
        self._addresses = addresses
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is one, and says so only from Python 3.12 on.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = data[12 : data.index(b"\0", 12) + 5]
        answer = b""
        if int.from_bytes(question[-4:-2]) == _ADDRESS:
            address = next(self._addresses[_name(question)])
            answer = struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(address)
        head = data[:2] + struct.pack("!HHHHH", 0x8180, 1, bool(answer), 0, 0)
        assert self._transport is not None
        self._transport.sendto(head + question + answer, addr)


def _name(question: bytes) -> str:
    labels, position = list[str](), 0
    while length := question[position]:
        labels.append(question[position + 1 : position + 1 + length].decode())
        position += 1 + length
    return ".".join(labels)


def noting(visits: list[str], place: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """A server that says nothing to whoever comes."""

    def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(place)
        writer.close()

    return visited


def switch_loopback_on() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH22x", b"lo", _UP))


async def attack(data: Path) -> dict[str, object]:
    """Register each name twice; what was answered, and who was connected to."""
    found: dict[str, object] = {}
    visits: list[str] = []
    names = {name: chain([first], repeat(later)) for name, (first, later) in LIES.items()}
    loop, port = asyncio.get_running_loop(), Port.free()
    settings = admin_settings(data, Port.free(), admin_options={"allowed_networks": [f"{ALLOWED}/32"]})
    async with AsyncExitStack() as stack:
        transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(names), ("127.0.0.1", 53))
        stack.callback(transport.close)
        for place in (INSIDE, ALLOWED):
            server = await asyncio.start_server(noting(visits, place), place, port.number)
            await stack.enter_async_context(server)
        admin = await stack.enter_async_context(running_admin(settings))
        for name in LIES:
            url = f"http://{name}:{port.number}"
            answers = [await admin.request("POST", ELEMENTS, json={"url": url}) for _ in range(2)]
            found[name] = {"answers": [each.status for each in answers], "visits": sorted(set(visits))}
            visits.clear()
    return found


if __name__ == "__main__":
    switch_loopback_on()
    print(json.dumps(asyncio.run(attack(Path(sys.argv[1])))))
