"""The compose file hands each service what it reads and no more, agrees with the settings, and gives containers few rights."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from common.database import Pool
from common.settings import Common, load
from services.ingest.settings import Settings as Ingest
from services.janitor.settings import Settings as Janitor
from services.notifier.settings import Settings as Notifier
from services.transcriber.attempt import RELEASE_SECONDS
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.settings import Settings as Transcriber

DEPLOY = Path(__file__).parents[3] / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SETTINGS: dict[str, type[Common]] = {"ingest": Ingest, "transcriber": Transcriber, "notifier": Notifier, "janitor": Janitor}
SERVICES = tuple(SETTINGS)

SET_BY_THE_IMAGE = {"HOST", "PORT", "HEALTH_HOST", "HEALTH_PORT", "VERBATIM_MODEL_DIR"}
READ_BY_PIP = {"PIP_INDEX_URL", "HTTPS_PROXY"}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `make-env` writes."""
    directory = tmp_path_factory.mktemp("deploy")
    for name in ("make-env", ".env.example"):
        (directory / name).write_bytes((DEPLOY / name).read_bytes())
    subprocess.run(["/bin/sh", directory / "make-env"], check=True, capture_output=True)
    assert (directory / ".env").stat().st_mode & 0o077 == 0
    return _assignments((directory / ".env").read_text())


def test_no_key_stands_twice() -> None:
    """Compose refuses a mapping with the same key twice; the parser used here would take the last one."""
    for node in _nodes(yaml.compose(TEXT, Loader=yaml.SafeLoader)):
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_only_what_it_reads(service: str) -> None:
    """A variable that no setting answers to is a misspelling, or a secret given to one who does not need it."""
    foreign = READ_BY_PIP if service == "transcriber" else set()
    assert set(COMPOSE["services"][service]["environment"]) <= _readable(service) | foreign


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_can_be_set(service: str) -> None:
    """A setting that compose does not pass on would be without effect, whatever .env says."""
    assert _readable(service) - SET_BY_THE_IMAGE <= set(COMPOSE["services"][service]["environment"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_accepts_what_make_env_and_compose_give_it(service: str, made: dict[str, str]) -> None:
    """With a fresh .env every service's settings are complete and valid, cross-field rules included."""
    environ = _environment(service, made)
    load(SETTINGS[service], environ)
    if service == "transcriber":
        load(EngineSettings, environ)


def test_make_env_does_not_touch_an_existing_file(tmp_path: Path) -> None:
    """Its secrets are the only key to the data in the volumes."""
    for name in ("make-env", ".env.example"):
        (tmp_path / name).write_bytes((DEPLOY / name).read_bytes())
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=mine\n")
    assert subprocess.run(["/bin/sh", tmp_path / "make-env"], check=False, capture_output=True).returncode == 1
    assert (tmp_path / ".env").read_text() == "POSTGRES_PASSWORD=mine\n"


def test_make_env_makes_a_secret_of_its_own_for_each_name(made: dict[str, str]) -> None:
    """Required names are filled in, each differently, with nothing that would need escaping in a URL."""
    secrets = {name: made[name] for name in ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY")}
    assert len(set(secrets.values())) == len(secrets)
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in secrets.values())
    assert made["WEBHOOK_SECRETS"].startswith("whsec_")


def test_env_example_lists_every_variable() -> None:
    """What the compose files take from .env is in .env.example, and nothing else is; names that must be set are empty there."""
    example = (DEPLOY / ".env.example").read_text()
    listed = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    text = TEXT + (DEPLOY / "compose.gpu.yaml").read_text()
    passed_on = {name for service in SERVICES for name, value in COMPOSE["services"][service]["environment"].items() if value is None}
    read_by_compose_itself = {"COMPOSE_FILE", "COMPOSE_PROFILES"}
    assert listed == {found[1] for found in _VARIABLE.finditer(text)} | passed_on | read_by_compose_itself
    required = {found[1] for found in _VARIABLE.finditer(text) if found[2] == "?"}
    assert _assignments(example) == dict.fromkeys(required, "")


def test_the_broker_is_as_patient_as_the_transcriber_believes() -> None:
    """The consumer timeout stands in two files, in milliseconds and in seconds."""
    found = re.search(r"^consumer_timeout = (\d+)$", (DEPLOY / "rabbitmq.conf").read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) == 1_000 * COMPOSE["services"]["transcriber"]["environment"]["CONSUMER_TIMEOUT_SECONDS"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_few_rights(service: str) -> None:
    """Not root, no capabilities, no way to more of either, and nothing to write on but what is named."""
    container = COMPOSE["services"][service]
    assert container["user"] == "10001:10001"
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in container
    assert "cap_add" not in container


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_drain_before_it_is_killed(service: str) -> None:
    """The time to stop exceeds the time to drain, and what it takes then to give a job back while Postgres is away."""
    container = COMPOSE["services"][service]
    needed = container["environment"]["DRAIN_SECONDS"] + RELEASE_SECONDS + Pool.letting_go
    assert int(container["stop_grace_period"].removesuffix("s")) > needed


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_waits_for_the_servers(service: str) -> None:
    """It starts when they are healthy, starts again when it ends, and is called healthy when it is ready."""
    container = COMPOSE["services"][service]
    assert container["depends_on"] == {name: {"condition": "service_healthy"} for name in ("postgres", "rabbitmq", "seaweedfs")}
    assert container["restart"] == "unless-stopped"
    assert container["healthcheck"]["test"][-1] == "ready"


def test_servers_are_pinned_and_watched() -> None:
    """Every image that is pulled has a version of at least two numbers; the servers say whether they are well."""
    pulled = {name: container for name, container in COMPOSE["services"].items() if "build" not in container}
    assert all(re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?", container["image"]) for container in pulled.values())
    assert all("healthcheck" in container for container in pulled.values() if "profiles" not in container)


def test_the_broker_makes_its_own_cookie() -> None:
    """The health check runs as root and would make one that the server cannot read: it waits for the server's."""
    kind, command = COMPOSE["services"]["rabbitmq"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert command.startswith("test -s /var/lib/rabbitmq/.erlang.cookie && ")


def test_the_only_master_of_the_store_does_not_wait_for_others() -> None:
    """Until it leads, no object can be read; S3 would answer all the same, and cost a job that begins then an attempt."""
    command = COMPOSE["services"]["seaweedfs"]["command"]
    assert "-master.electionTimeout=1s" in command
    assert "-ip=127.0.0.1" in command
    assert not any(option.startswith("-master.peers") for option in command)


def test_what_is_published_asks_for_keys_and_is_on_loopback_by_default() -> None:
    """A password that is guessed on the internet must not be all that stands before the data."""
    published = {name: container["ports"] for name, container in COMPOSE["services"].items() if "ports" in container}
    assert set(published) == {"ingest", "seaweedfs", "jaeger"}
    assert all(_interpolate(port, {}).startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert COMPOSE["services"]["ingest"]["environment"]["AUTH"] == "on"


def test_servers_are_cut_off_from_the_outside() -> None:
    """Whoever has no business there is on the internal network alone."""
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert all(COMPOSE["services"][name]["networks"] == ["data"] for name in ("postgres", "rabbitmq", "janitor"))


def test_a_gpu_is_asked_for_only_where_there_is_one() -> None:
    """A reservation that cannot be met keeps the container from starting, so it stands in a file of its own."""
    assert not any("deploy" in container for container in COMPOSE["services"].values())
    override = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())
    assert set(override["services"]) == {"transcriber"}
    [device] = override["services"]["transcriber"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def _nodes(node: yaml.Node | None) -> Iterator[yaml.Node]:
    assert node is not None
    yield node
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for child in pair:
                yield from _nodes(child)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _nodes(child)


def _readable(service: str) -> set[str]:
    kinds: list[type[msgspec.Struct]] = [SETTINGS[service], *([EngineSettings] if service == "transcriber" else [])]
    return {field.name.upper() for kind in kinds for field in msgspec.structs.fields(kind)}


def _environment(service: str, env: Mapping[str, str]) -> dict[str, str]:
    """What the container is started with."""
    given = COMPOSE["services"][service]["environment"]
    passed_on = {name: env[name] for name, value in given.items() if value is None and name in env}
    return passed_on | {name: _interpolate(str(value), env) for name, value in given.items() if value is not None}


def _interpolate(text: str, env: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        given = env.get(found[1], "")
        if not given and found[2] == "?":
            raise AssertionError(f"{found[1]} is required")
        return given or (found[3] if found[2] == "-" else "")

    return _VARIABLE.sub(value, text)


def _assignments(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)
