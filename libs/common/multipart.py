"""S3's multipart uploads, piece by piece: for objects that come together over several requests, perhaps of several processes.

`common.upload` is for those that come in one.
"""

import asyncio
import contextlib
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from common.errors import PermanentError
from common.storage_errors import code, translated

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

LEAST_PART_BYTES = 5 * 2**20  # of every part but the last
MOST_PARTS = 10_000


class Part(msgspec.Struct, frozen=True):
    """A part that the store has; parts make up the object in the order of their numbers, which may have gaps."""

    number: int
    etag: str
    size: int


class Multipart:
    """The multipart uploads of one bucket. One that the store does not have (any more) is `PermanentError("upload_missing")`."""

    def __init__(self, client: "S3Client", public: "S3Client", bucket: str, patience: timedelta) -> None:
        """No part takes longer to send than `patience`."""
        self._patience = patience
        self._client = client
        self._public = public
        self._bucket = bucket

    async def begin(self, key: str) -> str:
        """The store's name for a new upload."""
        with translated(key):
            answer = await self._client.create_multipart_upload(Bucket=self._bucket, Key=key)
        return answer["UploadId"]

    async def presign(self, key: str, upload_id: str, number: int, *, size: int, lifetime: timedelta) -> str:
        """An address to which anyone can PUT one part of exactly `size` bytes for a while. It is a secret. Asks nobody."""
        return await self._public.generate_presigned_url(
            "upload_part",
            Params={"Bucket": self._bucket, "Key": key, "UploadId": upload_id, "PartNumber": number, "ContentLength": size},
            ExpiresIn=round(lifetime.total_seconds()),
        )

    async def send(self, key: str, upload_id: str, number: int, data: io.BytesIO, size: int) -> Part:
        """Store one part; a number that was used before is overwritten."""
        with _known(key):
            async with asyncio.timeout(self._patience.total_seconds()):
                answer = await self._client.upload_part(Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data)
        return Part(number, answer["ETag"], size)

    async def parts(self, key: str, upload_id: str) -> list[Part]:
        """What the store has of it, in the order of numbers."""
        with _known(key):
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload_id)
            return [Part(each["PartNumber"], each["ETag"], each["Size"]) async for page in pages for each in page.get("Parts", ())]

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the object of these parts, and forget others."""
        with _known(key):
            await self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]},
            )


@contextlib.contextmanager
def _known(key: str) -> Iterator[None]:
    with translated(key):
        try:
            yield
        except ClientError as error:
            if code(error) == "NoSuchUpload":
                raise PermanentError("upload_missing", f"The store has no such upload of {key}.") from error
            raise
