"""What lies between two parts: a TCP proxy that can be told to delay, stall or cut, to answer in S3's place, or to lose what Postgres says.

Passing, it is transparent; a fault holds for connections that are there and for those that come.
"""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Fault = Literal["cut", "stall", "delay", "refuse", "break", "truncate", "forget"]
"""Connections end and none is made; nothing passes; everything is late; S3 answers 503, 500, or stops in the middle of an answer; Postgres
commits, and the connection ends before it has said so."""

_STATUS = {"refuse": b"503 Service Unavailable", "break": b"500 Internal Server Error"}
_PIECE = 2**16
_DELAY_SECONDS = 0.3
_TRUNCATED_BYTES = 600
_METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
_COMMIT = b"COMMIT;"


class Proxy:
    """`targets` are asked for anew for each connection, as ports change; the first that answers has it."""

    def __init__(self, *targets: Callable[[], int]) -> None:
        self._targets = targets
        self._next = 0
        self._open: set[StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._fault: Fault | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self._cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """For the time of the block."""
        self._fault = fault
        if fault == "cut":
            self._cut()
        if fault == "stall":
            self._passing.clear()
        try:
            yield
        finally:
            self._fault = None
            self._passing.set()

    def _cut(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._lead(reader, writer)
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _lead(self, reader: StreamReader, writer: StreamWriter) -> None:
        """From end to end, until either hangs up."""
        upstream = None if self._fault == "cut" else await self._connect()
        if upstream is None:
            return
        there, back = upstream
        self._open.add(back)
        committing = asyncio.Event()
        try:
            await asyncio.gather(self._ask(reader, back, writer, committing), self._answer(there, writer, back, committing))
        finally:
            self._open.discard(back)
            back.transport.abort()

    async def _connect(self) -> tuple[StreamReader, StreamWriter] | None:
        self._next = first = (self._next + 1) % len(self._targets)  # while one waits for a target, others come
        for target in (*self._targets[first:], *self._targets[:first]):
            port = target()
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _ask(self, reader: StreamReader, upstream: StreamWriter, client: StreamWriter, committing: asyncio.Event) -> None:
        while data := await reader.read(_PIECE):
            await self._hold()
            status = _STATUS.get(self._fault or "")
            if status is not None and data.startswith(_METHODS):
                client.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await client.drain()
                raise ConnectionResetError
            if self._fault == "forget" and _COMMIT in data:
                committing.set()
            upstream.write(data)
            await upstream.drain()
        if upstream.can_write_eof():
            upstream.write_eof()

    async def _answer(self, reader: StreamReader, client: StreamWriter, upstream: StreamWriter, committing: asyncio.Event) -> None:
        while data := await reader.read(_PIECE):
            await self._hold()
            if committing.is_set():
                raise ConnectionResetError
            if self._fault == "truncate":
                client.write(data[:_TRUNCATED_BYTES])
                await client.drain()
                raise ConnectionResetError
            client.write(data)
            await client.drain()
        client.close()
        upstream.close()

    async def _hold(self) -> None:
        if self._fault == "delay":
            await asyncio.sleep(_DELAY_SECONDS)
        await self._passing.wait()
