"""Uvicorn's server, with a stop that cuts off nobody who has connected: a balancer gives such a request to no other server.

The kernel greets who comes whether we get round to them or not, and closing a listening socket resets those whom it has greeted and we have
not met. So it is first told to greet nobody new, then all who were greeted are met, and only then the socket is closed. Who comes meanwhile
is left unanswered, tries again after a second as TCP does, and is then refused, which balancers know how to take.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Iterator

import uvicorn

_UNHEARD_SECONDS = 3.0
_POLL_SECONDS = 0.02
_GREETING_SECONDS = 0.2
"""For greetings that are under way: the last of their three packets, from wherever it comes."""

_GIVING_BACK_SECONDS = 10.0

_SO_ATTACH_FILTER = 26
_NO_GREETINGS = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header with its flags
        (0x54, 0, 0, 0x12),  # of these SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # else let it pass
    )
)
"""A packet filter in the kernel's classic language, which any process may set on its own sockets."""


class Server(uvicorn.Server):
    """Signals are the lifecycle's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Also hears those who have connected and said nothing yet, for a while. Whoever cancels it cuts off what is under way by then."""
        try:
            await self._hear_all()
            await super().shutdown(sockets)
        except asyncio.CancelledError:
            await self._cut_off()
            raise

    async def _hear_all(self) -> None:
        for server in self.servers:
            for listening in server.sockets:
                _greet_nobody(listening)
        await asyncio.sleep(_GREETING_SECONDS)
        for server in self.servers:
            server.close()
        for _ in range(round(_UNHEARD_SECONDS / _POLL_SECONDS)):
            if not any(getattr(connection, "cycle", self) is None for connection in self.server_state.connections):
                break
            await asyncio.sleep(_POLL_SECONDS)

    async def _cut_off(self) -> None:
        """Requests end while all that they hold can still be given back: keys, leases, parts in the store."""
        under_way = [*self.server_state.tasks]
        for request in under_way:
            request.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=_GIVING_BACK_SECONDS)


def _greet_nobody(listening: socket.socket) -> None:
    """Linux can be told; elsewhere those are lost who come in the moment before the close."""
    if sys.platform != "linux":
        return
    instructions = ctypes.create_string_buffer(_NO_GREETINGS, len(_NO_GREETINGS))
    program = struct.pack("HP", len(_NO_GREETINGS) // 8, ctypes.addressof(instructions))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
