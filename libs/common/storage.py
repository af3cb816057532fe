"""One bucket of any S3-compatible store, through aioboto3.

Memory is bounded: an upload holds at most `_IN_FLIGHT + 1` parts, whatever its size, and a download is written as it comes. An upload
that does not end well is aborted, also when its task is cancelled, so that nothing is left behind.
"""

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import aioboto3
import aiohttp
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 6 * 2**20  # 10,000 parts, the limit of S3, make 62 GB
_IN_FLIGHT = 2
_READ_BYTES = 2**20
_DELETE_BATCH = 1_000


class Object(msgspec.Struct, frozen=True):
    """One entry of a listing; `size` in bytes."""

    key: str
    size: int
    modified: datetime


class StaleUpload(msgspec.Struct, frozen=True):
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: datetime


class Storage:
    """Failures come out as `TransientError("storage_unavailable")` or, for what is not there, `PermanentError("object_missing")`."""

    def __init__(self, client: "S3Client", bucket: str, *, public: "S3Client | None" = None) -> None:
        """`public` signs for the host by which clients reach the store, where that is another."""
        self._client = client
        self._public = public or client
        self.bucket = bucket

    async def ensure_bucket(self) -> None:
        """Create the bucket when it is missing."""
        with _translated(self.bucket):
            try:
                await self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if _code(error) not in {"404", "NoSuchBucket"}:
                    raise
                await self._create_bucket()

    async def _create_bucket(self) -> None:
        try:
            await self._client.create_bucket(Bucket=self.bucket)
        except ClientError as error:
            if _code(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:  # another service was faster
                raise

    async def ping(self) -> None:
        """Raises when the store does not answer or the bucket is gone."""
        with _translated(self.bucket):
            await self._client.head_bucket(Bucket=self.bucket)

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store a small object in one request."""
        with _translated(key):
            await self._client.put_object(Bucket=self.bucket, Key=key, Body=io.BytesIO(data), ContentType=content_type)

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            with _translated(key):
                await self._client.head_object(Bucket=self.bucket, Key=key)
        except PermanentError:
            return False
        return True

    async def get(self, key: str) -> bytes:
        """A small object, whole."""
        with _translated(key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"]:
                data: bytes = await answer["Body"].read()
                return data

    async def presign(self, key: str, *, lifetime: timedelta, filename: str, content_type: str) -> str:
        """An address from which anyone can read the object for a while, under a name and a type. It is a secret. Asks nobody."""
        return await self._public.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ResponseContentType": content_type,
                "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
            },
            ExpiresIn=round(lifetime.total_seconds()),
        )

    async def download(self, key: str, path: Path) -> None:
        """Stream an object into a file."""
        with _translated(key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"]:
                with path.open("wb") as file:
                    while chunk := await answer["Body"].read(_READ_BYTES):
                        await asyncio.to_thread(file.write, chunk)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error."""
        remaining = list(keys)
        with _translated("objects"):
            while batch := remaining[:_DELETE_BATCH]:
                remaining = remaining[_DELETE_BATCH:]
                answer = await self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
                if answer.get("Errors"):
                    raise TransientError("storage_unavailable", f"The store did not delete {len(answer['Errors'])} objects.")

    async def delete_prefix(self, prefix: str) -> int:
        """Delete everything under `prefix`; returns how many objects that were."""
        keys = [found.key async for found in self.objects(prefix)]
        await self.delete(keys)
        return len(keys)

    async def objects(self, prefix: str = "") -> AsyncIterator[Object]:
        """Every object under `prefix`, in key order."""
        with _translated(prefix):
            async for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    yield Object(entry["Key"], entry["Size"], entry["LastModified"])

    async def open_uploads(self, prefix: str = "") -> AsyncIterator[StaleUpload]:
        """Every multipart upload under `prefix` that is neither completed nor aborted, in no particular order."""
        with _translated("uploads"):
            async for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Uploads", ()):
                    yield StaleUpload(entry["Key"], entry["UploadId"], entry["Initiated"])

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Forget a multipart upload and its parts; one that is already gone is no error."""
        with _translated(key), contextlib.suppress(self._client.exceptions.NoSuchUpload):
            await self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)

    @asynccontextmanager
    async def upload(self, key: str, *, content_type: str) -> AsyncIterator["Upload"]:
        """A writer to `key`. The object appears when the block ends well; in any other case nothing remains."""
        upload = Upload(self._client, self.bucket, key, content_type)
        try:
            yield upload
            with _translated(key):
                await upload.complete()
        except BaseException:
            await asyncio.shield(upload.abort())
            raise


class Upload:
    """Bytes of unknown number on their way to one object; counts and hashes them as they pass."""

    def __init__(self, client: "S3Client", bucket: str, key: str, content_type: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._begun: asyncio.Task[str] | None = None
        self._completing = False
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
        """Take bytes; waits while too many parts are on their way."""
        self._hash.update(data)
        self.size += len(data)
        self._buffer.write(data)
        if self._buffer.tell() >= PART_BYTES:
            await self._send()

    async def complete(self) -> None:
        """Make the object. A recording that fits one part is stored in a single request."""
        self._completing = True
        if self._begun is None:
            await self._client.put_object(Bucket=self._bucket, Key=self._key, Body=self._rewound(), ContentType=self._content_type)
            return
        if self._buffer.tell():
            await self._send()
        parts = await asyncio.gather(*self._tasks)
        await self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=self._key, UploadId=await self._begun, MultipartUpload={"Parts": list(parts)}
        )

    async def abort(self) -> None:
        """Stop what is on its way and forget the parts. What cannot be undone now, as the store is away, is left to the janitor."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._begun is not None:
            with contextlib.suppress(ClientError, BotoCoreError, OSError):
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=await self._begun)
        if self._completing:
            # The store may have made the object although we did not hear of it.
            with contextlib.suppress(ClientError, BotoCoreError, OSError):
                await self._client.delete_object(Bucket=self._bucket, Key=self._key)

    async def _send(self) -> None:
        with _translated(self._key):
            if self._begun is None:
                self._begun = asyncio.create_task(self._begin(), name=f"begin-{self._key}")
            # When we are cancelled here the id must still become known, or the upload could not be aborted.
            upload_id = await asyncio.shield(self._begun)
            await self._room.acquire()
            for task in self._tasks:
                if task.done():
                    task.result()  # a part that failed ends the upload now, not gigabytes later
        part = self._rewound()
        self._tasks.append(asyncio.create_task(self._send_part(upload_id, len(self._tasks) + 1, part), name=f"part-{self._key}"))

    def _rewound(self) -> io.BytesIO:
        """The buffer, ready to be read; the next write starts a new one. aiohttp sends a file in slices, which lets the loop breathe."""
        part, self._buffer = self._buffer, io.BytesIO()
        part.seek(0)
        return part

    async def _begin(self) -> str:
        answer = await self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, ContentType=self._content_type)
        return answer["UploadId"]

    async def _send_part(self, upload_id: str, number: int, part: io.BytesIO) -> "CompletedPartTypeDef":
        try:
            with _translated(self._key):
                answer = await self._client.upload_part(
                    Bucket=self._bucket, Key=self._key, UploadId=upload_id, PartNumber=number, Body=part
                )
        finally:
            self._room.release()
        return {"PartNumber": number, "ETag": answer["ETag"]}


@asynccontextmanager
async def connect(
    *, endpoint_url: str | None, bucket: str, access_key: str, secret_key: str, region: str, public_endpoint_url: str | None = None
) -> AsyncIterator[Storage]:
    """The bucket at an endpoint (`None`: AWS), which clients reach by another if `public_endpoint_url` says so. No request is made yet."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=64,
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version="s3v4",
    )
    session = aioboto3.Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(session.client("s3", endpoint_url=endpoint_url, config=config))
        public = None
        if public_endpoint_url is not None:
            public = await stack.enter_async_context(session.client("s3", endpoint_url=public_endpoint_url, config=config))
        yield Storage(client, bucket, public=public)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """botocore's errors as ours."""
    try:
        yield
    except ClientError as error:
        if _code(error) in {"404", "NoSuchKey"}:
            raise PermanentError("object_missing", f"{what} is not in the store.") from error
        raise TransientError("storage_unavailable", f"The store answered {_code(error)}.") from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:  # a body cut short comes as aiohttp's own
        raise TransientError("storage_unavailable", f"The store could not be reached ({type(error).__name__}).") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
