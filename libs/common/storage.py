"""One bucket of any S3-compatible store, through aioboto3.

Memory is bounded, whatever the size: an upload holds a few parts (`common.upload`), and a download is written as it comes.
"""

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aioboto3
import msgspec
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from common.errors import PermanentError, Refused
from common.multipart import Multipart
from common.room import Room
from common.storage_errors import code, translated
from common.upload import PATIENCE, Upload

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import ListObjectsV2OutputTypeDef

_READ_BYTES = 2**20
_PIECE_BYTES = 2**18
_DELETE_BATCH = 1_000
_GONE = {"404", "NoSuchKey"}


class Object(msgspec.Struct, frozen=True):
    """One entry of a listing; `size` in bytes, `age` since it was stored."""

    key: str
    size: int
    age: timedelta


class StaleUpload(msgspec.Struct, frozen=True):
    """A multipart upload that was begun and neither completed nor aborted, `age` ago."""

    key: str
    upload_id: str
    age: timedelta


class Storage:
    """Failures come out as `TransientError("storage_unavailable")` or, for what is not there, `PermanentError("object_missing")`.

    Where a request can be refused for one object alone, that is told by the type: `Refused`.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        public: "S3Client | None" = None,
        patience: timedelta = PATIENCE,
        room: Room | None = None,
    ) -> None:
        """`public` signs for the host by which clients reach the store, where that is another; no write takes longer than `patience`."""
        self._client = client
        self._patience = patience
        self._public = public or client
        self.bucket = bucket
        self.room = room or Room()
        self.multipart = Multipart(client, self._public, bucket, patience)

    async def ensure_bucket(self) -> None:
        """Create the bucket when it is missing."""
        with translated(self.bucket):
            try:
                await self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if code(error) not in {"404", "NoSuchBucket"}:
                    raise
                await self._create_bucket()

    async def _create_bucket(self) -> None:
        try:
            await self._client.create_bucket(Bucket=self.bucket)
        except ClientError as error:
            if code(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:  # another service was faster
                raise

    async def ping(self) -> None:
        """Raises when the store does not answer or the bucket is gone."""
        with translated(self.bucket):
            await self._client.head_bucket(Bucket=self.bucket)

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store a small object in one request."""
        with translated(key):
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._client.put_object(Bucket=self.bucket, Key=key, Body=io.BytesIO(data), ContentType=content_type)

    async def copy(self, key: str, target: str) -> None:
        """The same object once more, without its bytes passing here; up to 5 GB."""
        with translated(key):
            await self._client.copy_object(Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": key})

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            await self.size(key)
        except PermanentError:
            return False
        return True

    async def size(self, key: str) -> int:
        """An object's, in bytes."""
        with translated(key):
            return (await self._client.head_object(Bucket=self.bucket, Key=key))["ContentLength"]

    async def get(self, key: str) -> bytes:
        """A small object, whole."""
        with translated(key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"]:
                data: bytes = await answer["Body"].read()
                return data

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """An object of any size, as it comes."""
        with translated(key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"]:
                while chunk := await answer["Body"].read(_READ_BYTES):
                    yield chunk

    async def pieces(self, key: str) -> AsyncGenerator[bytes, None]:
        """The same for a reader that may be slow, or never go on: each piece is a request of its own, so none is open meanwhile."""
        start, size, same = 0, 1, dict[str, Any]()
        while start < size:
            with translated(key):
                wanted = f"bytes={start}-{start + _PIECE_BYTES - 1}"
                answer = await self._client.get_object(Bucket=self.bucket, Key=key, Range=wanted, **same)
                async with answer["Body"]:
                    piece = await answer["Body"].read()
            start, size, same = start + len(piece), int(answer["ContentRange"].rpartition("/")[2]), {"IfMatch": answer["ETag"]}
            yield piece

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
        with path.open("wb") as file:
            async with aclosing(self.read(key)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error, and one that is kept is one."""
        kept = await self.delete_each(keys)
        if kept:
            raise kept[min(kept)]

    async def delete_each(self, keys: Iterable[str]) -> dict[str, Refused]:
        """Delete objects, and pass over what the store refuses one by one, be it all of them: those that it keeps, each with why.

        Raises `TransientError` when a request fails as a whole, which is no matter of one object or another: the store is away.
        """
        remaining = list(keys)
        kept: dict[str, Refused] = {}
        while batch := remaining[:_DELETE_BATCH]:
            remaining = remaining[_DELETE_BATCH:]
            kept |= await self._delete(batch)
        return kept

    async def _delete(self, keys: list[str]) -> dict[str, Refused]:
        with translated("objects"):
            answer = await self._client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
        refused = {error["Key"]: error.get("Code") for error in answer.get("Errors", ()) if error.get("Code") not in _GONE}
        return {key: Refused("storage_unavailable", f"The store did not delete {key}: {why}.") for key, why in refused.items()}

    async def delete_prefix(self, prefix: str) -> int:
        """Delete everything under `prefix`; returns how many objects that were."""
        keys = [found.key async for found in self.objects(prefix)]
        await self.delete(keys)
        return len(keys)

    async def delete_prefixes(self, prefixes: Iterable[str]) -> int:
        """The same for each of `prefixes`."""
        return sum([await self.delete_prefix(prefix) for prefix in prefixes])

    async def objects(self, prefix: str = "") -> AsyncIterator[Object]:
        """Every object under `prefix`, in key order."""
        with translated(prefix):
            async for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for found in _contents(page):
                    yield found

    async def page(self, prefix: str, *, after: str, size: int) -> tuple[list[Object], bool]:
        """At most `size` objects (and 1,000) under `prefix` whose keys follow `after`, in key order; and whether there may be more."""
        with translated(prefix):
            answer = await self._client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, StartAfter=after, MaxKeys=size)
        return _contents(answer), answer["IsTruncated"]

    async def open_uploads(self, prefix: str = "") -> AsyncIterator[StaleUpload]:
        """Every multipart upload under `prefix` that is neither completed nor aborted, in no particular order."""
        with translated("uploads"):
            async for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix):
                now = _answered_at(page)
                for entry in page.get("Uploads", ()):
                    yield StaleUpload(entry["Key"], entry["UploadId"], now - entry["Initiated"])

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Forget a multipart upload and its parts; one that is already gone is no error."""
        with translated(key, alone=True), contextlib.suppress(self._client.exceptions.NoSuchUpload):
            await self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)

    @asynccontextmanager
    async def upload(self, key: str, *, content_type: str) -> AsyncIterator[Upload]:
        """A writer to `key`. The object appears when the block ends well; in any other case nothing remains.

        Raises `NoRoom`, perhaps in the midst of the block.
        """
        async with self.room.share() as share:
            upload = Upload(self._client, self.bucket, key, content_type, share, self._patience)
            try:
                yield upload
                with translated(key):
                    await upload.complete()
            except BaseException:
                await asyncio.shield(upload.abort())
                raise


def _contents(answer: "ListObjectsV2OutputTypeDef") -> list[Object]:
    now = _answered_at(answer)
    return [Object(entry["Key"], entry["Size"], now - entry["LastModified"]) for entry in answer.get("Contents", ())]


def _answered_at(answer: Mapping[str, Any]) -> datetime:
    """By the store's own clock, which also says when its objects were stored: nobody else's can make them seem old."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


@asynccontextmanager
async def connect(
    *,
    endpoint_url: str | None,
    bucket: str,
    access_key: str,
    secret_key: str,
    region: str,
    public_endpoint_url: str | None = None,
    patience: timedelta = PATIENCE,
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
        # Whoever waits for leave to send waits for ever if none comes: aiohttp's timeouts begin when all is sent.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        public = None
        if public_endpoint_url is not None:
            public = await stack.enter_async_context(session.client("s3", endpoint_url=public_endpoint_url, config=config))
        yield Storage(client, bucket, public=public, patience=patience)
