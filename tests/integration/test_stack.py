"""The stack with real servers: they answer, survive each other's death, keep to themselves, and leave nothing running."""

import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import aioboto3
import asyncpg
import psutil
import pytest

from deploy.local.private import is_free
from deploy.local.server import Server
from deploy.local.stack import Stack

SERVERS = ("postgres", "rabbitmq", "seaweedfs")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that belongs to these tests, which kill its servers."""
    with Stack(tmp_path_factory.mktemp("stack"), environ={}, durable=False) as stack:
        yield stack


async def write_and_read_row(stack: Stack) -> None:
    """Keep a row, and count on every row kept before."""
    connection = await asyncpg.connect(stack.database_url)
    await connection.execute("create table if not exists kept (number int)")
    before = await connection.fetchval("select count(*) from kept")
    await connection.execute("insert into kept values ($1)", before)
    assert await connection.fetchval("select array_agg(number order by number) from kept") == list(range(before + 1))
    await connection.close()


async def publish_and_leave(stack: Stack) -> None:
    """Keep a message, and count on every message kept before."""
    async with await aio_pika.connect(stack.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")
        got = await queue.get(timeout=60)
        assert got is not None
        assert got.body == b"kept"
        await got.nack(requeue=True)


async def put_and_get(stack: Stack) -> None:
    """Keep an object, and count on every object kept before."""
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=stack.s3.endpoint_url,
        aws_access_key_id=stack.s3.access_key,
        aws_secret_access_key=stack.s3.secret_key,
        region_name="us-east-1",
    )
    async with client as s3:
        before = (await s3.list_objects_v2(Bucket=stack.s3.bucket)).get("KeyCount", 0)
        await s3.put_object(Bucket=stack.s3.bucket, Key=f"kept/{before}", Body=b"bytes")
        for number in range(before + 1):
            answer = await s3.get_object(Bucket=stack.s3.bucket, Key=f"kept/{number}")
            assert await answer["Body"].read() == b"bytes"


USES: dict[str, Callable[[Stack], Awaitable[None]]] = {
    "postgres": write_and_read_row,
    "rabbitmq": publish_and_leave,
    "seaweedfs": put_and_get,
}


def named(stack: Stack, name: str) -> Server:
    """One server of the stack."""
    return next(server for server in stack.servers if server.name == name)


def pids(stack: Stack) -> dict[str, int | None]:
    """Who runs now."""
    return {server.name: server.process.pid for server in stack.servers}


def listening(stack: Stack) -> set[tuple[str, int]]:
    """Every address on which a process of the stack listens."""
    leaders = {pid for pid in (*pids(stack).values(), stack.rabbitmq.epmd_pid) if pid}
    found: set[tuple[str, int]] = set()
    for process in psutil.process_iter():
        if _session(process.pid) in leaders:
            found |= {(it.laddr.ip, it.laddr.port) for it in process.net_connections() if it.status == psutil.CONN_LISTEN and it.laddr}
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_does_its_work(running: Stack, name: str) -> None:
    """Started means that a real client can work with it at once."""
    await USES[name](running)


@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_writes_nowhere_but_in_the_own_directory(running: Stack, name: str) -> None:
    """Not even a log: what nobody knows of nobody takes away."""
    await USES[name](running)
    server = psutil.Process(pids(running)[name])
    opened = [file.path for process in (server, *server.children(recursive=True)) for file in process.open_files() if file.mode != "r"]
    assert opened
    assert [path for path in opened if not Path(path).is_relative_to(running.root)] == []


@pytest.mark.parametrize("name", SERVERS)
async def test_a_killed_server_comes_back_with_its_data(running: Stack, name: str) -> None:
    """SIGKILL loses nothing that was confirmed, the address stays the same, and the other servers are not touched."""
    await USES[name](running)
    before, url = pids(running), running.environment
    named(running, name).kill()
    assert pids(running)[name] is None
    named(running, name).start()
    after = pids(running)
    assert [server for server in SERVERS if before[server] != after[server]] == [name]
    assert running.environment == url
    await USES[name](running)


async def test_a_stopped_stack_leaves_nothing_and_starts_where_it_was(running: Stack) -> None:
    """After a stop no process and no port is left; a second start finds data and addresses again."""
    before, addresses = running.environment, listening(running)
    assert len(addresses) >= 3
    running.stop()
    assert set(pids(running).values()) == {None}
    assert [port for _, port in addresses if not is_free(port)] == []
    running.start()
    assert running.environment == before
    for use in USES.values():
        await use(running)


def test_starting_twice_changes_nothing(running: Stack) -> None:
    """A second start finds everything running."""
    before = pids(running)
    running.start()
    assert pids(running) == before


async def test_a_port_that_somebody_took_is_replaced(running: Stack) -> None:
    """A stranger on our port does not keep the server from starting elsewhere."""
    running.rabbitmq.stop()
    taken = urlsplit(running.amqp_url).port
    with socket.create_server(("127.0.0.1", taken or 0)):
        running.rabbitmq.start()
        assert urlsplit(running.amqp_url).port != taken
    await publish_and_leave(running)


def test_everything_listens_on_loopback_only(running: Stack) -> None:
    """No server can be reached from outside this machine."""
    assert {address for address, _ in listening(running)} <= {"127.0.0.1", "::1"}


def test_secrets_are_for_the_owner_only(running: Stack) -> None:
    """Whatever holds a password, a key or the Erlang cookie has mode 0600."""
    secrets = [*running.root.glob("*/private.json"), *running.root.glob("rabbitmq/.erlang.cookie"), *running.root.glob("rabbitmq/*.conf")]
    assert len(secrets) >= 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


async def test_a_wrong_password_is_refused(running: Stack) -> None:
    """Loopback is shared by every user of a machine, so the servers ask who comes."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(running.database_url.replace("verbatim:", "verbatim:not-"))
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(running.amqp_url.replace("verbatim:", "verbatim:not-"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_postgres_never_runs_as_root(running: Stack) -> None:
    """For root, the server is another user's, and so is its data."""
    pid = running.postgres.process.pid
    assert psutil.Process(pid).uids().real != 0
    assert (running.root / "postgres" / "data").owner() != "root"


async def test_the_broker_waits_for_long_jobs(running: Stack) -> None:
    """A consumer may hold a message for four hours: the default of half an hour would cut long jobs off."""
    assert running.rabbitmq.setting("consumer_timeout") == "14400000"


async def test_virtual_hosts_come_and_go_by_the_batch(running: Stack) -> None:
    """New ones are usable, deleted ones are gone, and deleting what is not there is no error."""
    running.rabbitmq.add_vhosts(["one", "two"])
    async with await aio_pika.connect(running.rabbitmq.vhost_url("one")) as connection:
        await (await connection.channel()).declare_queue("q", exclusive=True)
    running.rabbitmq.delete_vhosts(["one", "two", "never"])
    assert running.rabbitmq.vhosts() == ["verbatim"]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error ends with the server's own words instead of a time-out."""
    stack = Stack(tmp_path, environ={})
    stack.postgres.start()
    stack.postgres.stop()
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(Exception, match="incompatible with server"):
        stack.postgres.start()


def test_a_half_made_database_is_made_anew(tmp_path: Path) -> None:
    """An interrupted first start leaves a directory under another name, which the next start throws away."""
    (tmp_path / "postgres" / "data.new").mkdir(parents=True)
    (tmp_path / "postgres" / "data.new" / "PG_VERSION").write_text("nonsense")
    postgres = Stack(tmp_path, environ={}, durable=False).postgres
    postgres.start()
    postgres.stop()
    assert not (tmp_path / "postgres" / "data.new").exists()


def test_each_fixture_gives_something_fresh(stack: Stack, database_url: str, amqp_url: str, bucket: str) -> None:
    """What a test gets is not what services use by default."""
    assert database_url != stack.database_url
    assert amqp_url != stack.amqp_url
    assert bucket != stack.s3.bucket


def test_signal_of_a_stop_lets_postgres_close_its_connections() -> None:
    """A smart shutdown (SIGTERM) would wait for clients for ever."""
    assert Stack(Path("unused"), environ={}).postgres.stop_signal is signal.SIGINT
