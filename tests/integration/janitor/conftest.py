"""A janitor's sweeper on real servers."""

import asyncio

import pytest

from common.database import Pool
from services.janitor.sweeper import Sweeper


@pytest.fixture
def sweeper(pool: Pool) -> Sweeper:
    """A sweeper that nobody stops."""
    return Sweeper(pool, asyncio.Event())
