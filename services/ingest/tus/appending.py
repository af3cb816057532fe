"""The bytes of one request on their way to the end of an upload: into parts as these fill up, and what is left into an object of its own.

What is recorded in Postgres is in the store before, so no byte that a client was told of can be lost. Nor does a connection that breaks
cost anything, or having to make way for others: what came before is kept. Only with a checksum nothing counts until all of it has come and
fits; parts that were stored by then are of no account unless they are recorded. At most one part is held in memory, in the room that there
is for all (`common.room`).
"""

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from common import resumable
from common.database import AWAY, Pool
from common.errors import VerbatimError
from common.resumable import Upload
from common.room import FIRST_BYTES, NoRoom, Share
from common.storage import Storage
from common.storage_keys import tail_key
from services.ingest import recording
from services.ingest.arriving import Arrivals, locked
from services.ingest.body import Broken
from services.ingest.problems import Problem
from services.ingest.sniffing import HEAD_BYTES
from services.ingest.tus.headers import Checksum

if TYPE_CHECKING:
    from common.multipart import Part


class Append:
    """Use once, for an upload that the request has leased."""

    def __init__(self, pool: Pool, storage: Storage, arrivals: Arrivals, upload: Upload, checksum: Checksum | None) -> None:
        self._pool = pool
        self._storage = storage
        self._lifetime = arrivals.lifetime
        self._upload = upload
        self._checksum = checksum
        self._buffer = io.BytesIO()
        self._parts: list[Part] = []  # in the store, and not recorded yet
        self._in_parts = 0
        self._tails = set(upload.tail_keys)

    @property
    def _received(self) -> int:
        """Bytes that are in parts and in the buffer. A part on its way to the store is in neither: cut off there, it has not come."""
        return self._in_parts + self._buffer.tell()

    async def run(self, chunks: AsyncGenerator[bytes, None]) -> Upload:
        """Take `chunks`; the upload as it is afterwards. Raises `Problem` and `NoRoom`."""
        async with self._storage.room.share() as share:
            return await self._run(chunks, share)

    async def _run(self, chunks: AsyncGenerator[bytes, None], share: Share) -> Upload:
        await self._load(share)
        try:
            async for chunk in chunks:
                with share.received(len(chunk)):
                    await self._take(chunk, share)
            share.settle()
        except (Broken, NoRoom, asyncio.CancelledError):
            if self._checksum is None:
                with contextlib.suppress(VerbatimError, *AWAY):
                    await asyncio.shield(self._keep())
            raise
        if self._checksum is not None:
            self._checksum.verify()
        return await self._keep()

    async def _load(self, share: Share) -> None:
        if self._upload.tail_keys:
            with share.received(FIRST_BYTES):  # nothing tells yet how fast the client is
                await share.hold(self._upload.part_size)
                for key in self._upload.tail_keys:
                    self._buffer.write(await self._storage.get(key))
        self._in_parts = self._upload.received - self._buffer.tell()

    async def _take(self, chunk: bytes, share: Share) -> None:
        if self._received + len(chunk) > self._upload.size:
            raise beyond(self._upload)
        if self._checksum is not None:
            self._checksum.update(chunk)
        await share.hold(self._buffer.tell() + len(chunk))
        self._buffer.write(chunk)
        if self._buffer.tell() >= self._upload.part_size:
            await self._send()
            share.empty()
            if self._checksum is None:
                await self._record(tail=False)

    async def _keep(self) -> Upload:
        """Make everything safe that has come, and forget what it replaces."""
        if self._received > self._upload.received:
            if self._received == self._upload.size and self._buffer.tell():
                await self._send()
            left = self._buffer.getvalue()
            if left:
                assert self._upload.lease_token is not None
                key = tail_key(self._upload.id, self._upload.lease_token)
                await self._storage.put(key, left, content_type="application/octet-stream")
            await self._record(tail=bool(left))
        with contextlib.suppress(VerbatimError):  # then they go with the upload
            await self._storage.delete(self._tails - set(self._upload.tail_keys))
        return self._upload

    async def _send(self) -> None:
        part, self._buffer = self._buffer, io.BytesIO()
        size = part.tell()
        part.seek(0)
        if self._in_parts == 0:
            recording.recognise(part.read(HEAD_BYTES))  # refuse early, before gigabytes have travelled
            part.seek(0)
        async with self._pool.acquire() as connection:
            number = await resumable.take_part(connection, self._upload)
        if number is None:
            raise locked()
        sent = await self._storage.multipart.send(self._upload.key, self._upload.multipart_id, number, part, size)
        self._parts.append(sent)
        self._in_parts += size

    async def _record(self, *, tail: bool) -> None:
        async with self._pool.acquire() as connection:
            advanced = await resumable.advance(
                connection,
                self._upload,
                self._parts,
                tail=self._upload.lease_token if tail else None,
                received=self._received,
                lifetime=self._lifetime,
            )
        if advanced is None:
            raise locked()
        self._upload, self._parts = advanced, []


def beyond(upload: Upload) -> Problem:
    """413: more than was announced."""
    return Problem(413, "too_large", f"The upload was announced with {upload.size} bytes, and more came.", limit=upload.size)
