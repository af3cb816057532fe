"""Real servers for tests: one stack per session, and of each a fresh part per test.

Nothing is started before a test asks for it. Sessions that run at the same time share the stack in `.verbatim/test`; the last
one stops it. A test that stops or kills a server takes `own_stack` instead.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import asyncpg
import pytest

from deploy.local.lock import Users
from deploy.local.private import Private
from deploy.local.service import REPOSITORY, local_environment, without_configuration
from deploy.local.stack import Stack
from services.transcriber.engine.hardware import forbid_telemetry
from tests.running import Services, Vhosts

ROOT = REPOSITORY / ".verbatim" / "test"
PREFIX = "test_"


def pytest_configure() -> None:
    """What tests import of the engine reports to nobody, either."""
    forbid_telemetry(os.environ)


@pytest.hookimpl(tryfirst=True)  # before xdist, which reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what takes long to load run in one process, or each process would load it."""
    for item in items:
        if item.path.parent.name in {"engine", "e2e"} or item.path.name == "test_stack.py":
            shared = "engine" if "engine" in getattr(item, "fixturenames", ()) else item.path.stem
            item.add_marker(pytest.mark.xdist_group(shared))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Groups that xdist does not see cost minutes, and nothing would tell."""
    grouped = getattr(session.config.option, "loadgroup", False)
    assert not grouped or all(item.nodeid.count("@") for item in session.items if item.get_closest_marker("xdist_group"))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Postgres, RabbitMQ and S3, running."""
    shared = Stack(ROOT, durable=False)
    users = Users(ROOT / "users.lock")

    def clean() -> None:
        shared.start()
        asyncio.run(_drop_left_behind(shared))
        if shared.rabbitmq in shared.servers:
            shared.rabbitmq.delete_vhosts([name for name in shared.rabbitmq.vhosts() if name.startswith(PREFIX)])

    try:
        users.join(clean)
        shared.start()
        yield shared
    finally:
        users.leave(shared.stop)


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack that belongs to one test, which may stop, kill and start its servers; takes some seconds to come up."""
    with Stack(tmp_path / "stack", environ={}, durable=False) as own:
        yield own


@pytest.fixture(scope="session")
def database_template(stack: Stack) -> Iterator[str]:
    """The name of a database with the current schema, made once and copied for each test."""
    name = f"{PREFIX}template_{secrets.token_hex(4)}"
    _in_thread(_create_migrated(stack, name))
    yield name
    _in_thread(_execute(stack, f'drop database "{name}" with (force)'))


@pytest.fixture
async def database_url(stack: Stack, database_template: str) -> AsyncIterator[str]:
    """A database of this test's own, migrated and empty."""
    name = f"{PREFIX}{secrets.token_hex(6)}"
    await _execute(stack, f'create database "{name}" template "{database_template}"')
    yield _database(stack, name)
    await _execute(stack, f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def vhosts(stack: Stack) -> Iterator[Vhosts]:
    """Empty virtual hosts, made in batches."""
    pool = Vhosts(stack, prefix=f"{PREFIX}{secrets.token_hex(3)}_")
    yield pool
    pool.close()


@pytest.fixture
def amqp_url(vhosts: Vhosts) -> Iterator[str]:
    """A virtual host of this test's own, with nothing declared in it."""
    with vhosts.fresh() as url:
        yield url


@pytest.fixture
async def bucket(stack: Stack) -> AsyncIterator[str]:
    """The name of a bucket of this test's own, empty."""
    name = f"{PREFIX}{secrets.token_hex(6)}".replace("_", "-")
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=stack.s3.endpoint_url,
        aws_access_key_id=stack.s3.access_key,
        aws_secret_access_key=stack.s3.secret_key,
        region_name="us-east-1",
    )
    async with client as s3:
        await s3.create_bucket(Bucket=name)
        yield name
        async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
            for entry in page.get("Contents", ()):
                await s3.delete_object(Bucket=name, Key=entry["Key"])
        await s3.delete_bucket(Bucket=name)


@pytest.fixture
def environment(stack: Stack, database_url: str, amqp_url: str, bucket: str) -> dict[str, str]:
    """The environment of a service that works on this test's database, virtual host and bucket. Free to be changed."""
    return {
        **local_environment(
            stack,
            models=REPOSITORY / ".verbatim" / "models",
            private=Private(ROOT / "services.private.json"),
            environ=without_configuration(os.environ),
        ),
        "DATABASE_URL": database_url,
        "AMQP_URL": amqp_url,
        "S3_BUCKET": bucket,
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def service(environment: dict[str, str], tmp_path: Path) -> Iterator[Services]:
    """Call it with a name and more environment, and await a service that is ready. None outlives the test."""
    services = Services(environment, tmp_path / "services")
    yield services
    services.stop()


async def _create_migrated(stack: Stack, name: str) -> None:
    from common.migrations import migrate  # noqa: PLC0415 - tests of the stack alone do without the services' code

    await _execute(stack, f'create database "{name}"')
    await migrate(_database(stack, name))


async def _drop_left_behind(stack: Stack) -> None:
    """What a session that was killed could not drop."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        for row in await connection.fetch("select datname from pg_database where starts_with(datname, $1)", PREFIX):
            await connection.execute(f'drop database "{row["datname"]}" with (force)')
    finally:
        await connection.close()


async def _execute(stack: Stack, statement: str) -> None:
    """Whoever is still in a database that is dropped or copied is sent away; Postgres waits five seconds for that, and we for longer."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(asyncpg.ObjectInUseError):
                    await connection.execute(statement)
                    return
    finally:
        await connection.close()


def _database(stack: Stack, name: str) -> str:
    return urlsplit(stack.database_url)._replace(path=f"/{name}").geturl()


def _in_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of its own: a session fixture must not touch the loops that the tests get."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, coroutine).result()
