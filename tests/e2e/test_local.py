"""What `./run` does, without its terminal: the whole system on one machine, brought up, used, mended and taken down."""

import io
import os
import signal
import time
from collections.abc import Iterator

import httpx
import msgspec
import psutil
import pytest
from rich.console import Console

from deploy.local import demo
from deploy.local.private import Private
from deploy.local.service import REPOSITORY, without_configuration
from deploy.local.system import System

SECOND_START_SECONDS = 60


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of these tests' own, up, with the models that are already here."""
    root = tmp_path_factory.mktemp("system")
    port = Private(root / "port.json").claim_ports({"http": None})["http"]  # the usual one may be somebody's
    environ = without_configuration(os.environ) | {"VERBATIM_MODEL_DIR": str(REPOSITORY / ".verbatim" / "models"), "PORT": str(port)}
    system = System(root, environ)
    try:
        system.up(lambda _part, _doing: None)
        yield system
    finally:
        system.down(lambda _part, _doing: None)


def pids(system: System) -> dict[str, int | None]:
    """Every process that makes up the system."""
    servers = {server.name: server.process.pid for server in system.stack.servers}
    return servers | {name: service.pid for name, service in system.services.items()}


def test_the_sample_goes_through_and_comes_back_signed(system: System) -> None:
    """The demo prints real words with times and the webhook that it verified, and leaves running what ran before."""
    output = io.StringIO()
    assert demo.run(system, None, Console(file=output, soft_wrap=True), once=True) == 0
    printed = output.getvalue()
    assert "This is Diane in New Jersey" in printed
    assert "[00:" in printed
    assert "Webhook job.completed  ✓ signature verified" in printed
    assert f"{system.api_url}/schema" in printed
    assert all(pids(system).values())


def test_status_says_where_everything_is(system: System) -> None:
    """Exactly the keys that other programs rely on, with addresses that answer and processes that live."""
    status = msgspec.json.decode(msgspec.json.encode(system.status()))
    assert set(status) == {"api_url", "amqp_url", "database_url", "s3", "services", "versions"}
    assert set(status["s3"]) == {"endpoint_url", "bucket", "access_key", "secret_key"}
    assert set(status["services"]) == {"ingest", "transcriber", "notifier", "janitor"}
    assert all(psutil.pid_exists(pid) for found in status["services"].values() for pid in found)
    assert httpx.get(f"{status['api_url']}/health/live", trust_env=False, timeout=60).status_code == 200
    assert httpx.get(f"{status['api_url']}/schema", trust_env=False, timeout=60).status_code == 200


def test_a_second_start_is_quick_and_changes_nothing(system: System) -> None:
    """What runs is found, not started again."""
    before, began = pids(system), time.monotonic()
    system.up(lambda _part, _doing: None)
    assert time.monotonic() - began < SECOND_START_SECONDS
    assert pids(system) == before


def test_what_died_is_started_again_alone(system: System) -> None:
    """After a kill -9, the next `up` starts that one and leaves the others be."""
    before = pids(system)
    assert before["janitor"] is not None
    os.kill(before["janitor"], signal.SIGKILL)
    assert system.services["janitor"].process.wait_gone(60)
    system.up(lambda _part, _doing: None)
    after = pids(system)
    assert [name for name in before if before[name] != after[name]] == ["janitor"]
    assert after["janitor"] is not None


def test_a_stop_leaves_nothing_and_a_start_finds_all_again(system: System) -> None:
    """Down leaves no process, and what comes up again is at the same addresses."""
    before = (system.api_url, system.stack.environment)
    family = [
        child for pid in pids(system).values() if pid for child in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    ]
    system.down(lambda _part, _doing: None)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
    assert not system.wanted
    system.up(lambda _part, _doing: None)
    assert (system.api_url, system.stack.environment) == before
