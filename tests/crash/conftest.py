"""One stack for all tests whose servers go away."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.private import Private
from deploy.local.service import REPOSITORY, local_environment, without_configuration
from deploy.local.stack import Stack
from tests.running import Services


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One whose servers these tests may kill, and leave running."""
    with Stack(tmp_path_factory.mktemp("stack"), environ={}, durable=False) as own:
        yield own


@pytest.fixture
async def own_environment(own_stack: Stack, tmp_path: Path) -> dict[str, str]:
    """The environment of services on that stack, with a database and a bucket for this test."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(own_stack.database_url)
    await connection.execute(f'create database "{name}"')
    await connection.close()
    models = REPOSITORY / ".verbatim" / "models"
    private = Private(tmp_path / "private.json")
    environment = local_environment(own_stack, models=models, private=private, environ=without_configuration(os.environ))
    own = {"DATABASE_URL": own_stack.postgres.database_url(name), "S3_BUCKET": name.replace("_", "-")}
    return {**environment, **own}


@pytest.fixture
def own_service(own_environment: dict[str, str], tmp_path: Path) -> Iterator[Services]:
    """Like `service`, on the test's own stack."""
    services = Services(own_environment, tmp_path / "services")
    yield services
    services.stop()
