"""Bytes of unknown number on their way to one object: S3's multipart upload with bounded memory.

At most `_IN_FLIGHT + 1` parts are held, whatever the size, and no more than there are places (`common.room`) by all uploads of a process
together. An upload that does not end well is aborted, also when its task is cancelled, so that nothing is left behind. What the store was
asked for last it may do although nobody waits for the answer any more, so it is undone only after that has come.
"""

import asyncio
import contextlib
import hashlib
import io
from collections.abc import Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.room import Share
from common.storage_errors import translated

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 6 * 2**20  # 10,000 parts, the limit of S3, make 62 GB
PATIENCE = timedelta(minutes=2)
"""To begin an upload, for a part and for a small object, however often it is tried: slower than 50 kB/s is as good as away."""

_IN_FLIGHT = 2
_ABORT_SECONDS = 10.0


class Upload:
    """Bytes of unknown number on their way to one object; counts and hashes them as they pass."""

    def __init__(self, client: "S3Client", bucket: str, key: str, content_type: str, share: Share, patience: timedelta = PATIENCE) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._begun: asyncio.Task[str] | None = None
        self._making: asyncio.Task[object] | None = None
        self._share = share
        self._patience = patience.total_seconds()
        self._buffer = io.BytesIO()
        self._tasks: list[asyncio.Task[CompletedPartTypeDef]] = []
        self._room = asyncio.Semaphore(_IN_FLIGHT)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._hash.hexdigest()

    async def write(self, data: bytes | bytearray) -> None:
        """Take bytes; waits while too many parts are on their way, of this upload or of all. Raises `NoRoom`."""
        with self._share.received(len(data)):
            await self._share.hold(self._buffer.tell() + len(data))
            self._hash.update(data)
            self.size += len(data)
            self._buffer.write(data)
            if self._buffer.tell() >= PART_BYTES:
                await self._send()

    async def complete(self) -> None:
        """Make the object. A recording that fits one part is stored in a single request."""
        self._share.settle()
        if self._begun is None:
            await self._make(self._put())
            return
        if self._buffer.tell():
            await self._send()
        parts = await asyncio.gather(*self._tasks)
        await self._make(
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=await self._begun, MultipartUpload={"Parts": list(parts)}
            )
        )

    async def abort(self) -> None:
        """Stop what is on its way and forget the parts. What cannot be undone soon, as the store is away, is left to the janitor."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(ClientError, BotoCoreError, OSError):  # a timeout is one of the last
            async with asyncio.timeout(min(self._patience, _ABORT_SECONDS)):
                await self._undo()
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def _undo(self) -> None:
        if self._making is not None:
            await asyncio.wait({self._making})
        if self._begun is not None:
            with contextlib.suppress(ClientError, BotoCoreError, OSError):
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=await self._begun)
        if self._making is not None:
            # The store may have made the object although we did not hear of it.
            await self._client.delete_object(Bucket=self._bucket, Key=self._key)

    async def _put(self) -> None:
        async with asyncio.timeout(self._patience):
            await self._client.put_object(Bucket=self._bucket, Key=self._key, Body=self._rewound(), ContentType=self._content_type)

    async def _make(self, request: Coroutine[Any, Any, object]) -> None:
        """The request that makes the object; `abort` waits for it where we are cancelled meanwhile."""
        self._making = asyncio.create_task(request, name=f"make-{self._key}")
        await asyncio.shield(self._making)

    async def _send(self) -> None:
        with translated(self._key):
            if self._begun is None:
                self._begun = asyncio.create_task(self._begin(), name=f"begin-{self._key}")
            # When we are cancelled here the id must still become known, or the upload could not be aborted.
            upload_id = await asyncio.shield(self._begun)
            await self._room.acquire()
            for task in self._tasks:
                if task.done():
                    task.result()  # a part that failed ends the upload now, not gigabytes later
        sending = asyncio.create_task(self._send_part(upload_id, len(self._tasks) + 1, self._rewound()), name=f"part-{self._key}")
        sent = self._share.hand_over()
        sending.add_done_callback(lambda _: sent())  # also when it is cancelled before its first step
        self._tasks.append(sending)

    def _rewound(self) -> io.BytesIO:
        """The buffer, ready to be read; the next write starts a new one. aiohttp sends a file in slices, which lets the loop breathe."""
        part, self._buffer = self._buffer, io.BytesIO()
        part.seek(0)
        return part

    async def _begin(self) -> str:
        async with asyncio.timeout(self._patience):
            answer = await self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, ContentType=self._content_type)
        return answer["UploadId"]

    async def _send_part(self, upload_id: str, number: int, part: io.BytesIO) -> "CompletedPartTypeDef":
        try:
            with translated(self._key):
                async with asyncio.timeout(self._patience):
                    answer = await self._client.upload_part(
                        Bucket=self._bucket, Key=self._key, UploadId=upload_id, PartNumber=number, Body=part
                    )
        finally:
            self._room.release()
        return {"PartNumber": number, "ETag": answer["ETag"]}
