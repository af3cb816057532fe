"""The bucket that services under test write to, opened as they open it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from common import storage
from common.storage import Storage


@asynccontextmanager
async def opened(environment: Mapping[str, str]) -> AsyncIterator[Storage]:
    """By the same variables that a service reads."""
    async with storage.connect(
        endpoint_url=environment["S3_ENDPOINT_URL"],
        bucket=environment["S3_BUCKET"],
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
    ) as store:
        yield store
