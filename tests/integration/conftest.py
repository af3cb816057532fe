"""The three servers as the services see them: a pool, a broker with its topology, a bucket."""

from collections.abc import AsyncIterator

import pytest

from common import database
from common import storage as stores
from common.broker import Broker
from common.database import Pool
from common.storage import Storage
from deploy.local.stack import Stack


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to this test's database, as many as a crowd of workers needs."""
    async with database.connect(database_url, name="test", max_size=25) as opened:
        yield opened


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[Broker]:
    """A virtual host of the test's own; the topology is declared at the first use."""
    async with Broker(amqp_url, name="test") as opened:
        yield opened


@pytest.fixture
async def storage(stack: Stack, bucket: str) -> AsyncIterator[Storage]:
    """A bucket of the test's own."""
    async with stores.connect(
        endpoint_url=stack.s3.endpoint_url,
        bucket=bucket,
        access_key=stack.s3.access_key,
        secret_key=stack.s3.secret_key,
        region="us-east-1",
    ) as opened:
        yield opened
