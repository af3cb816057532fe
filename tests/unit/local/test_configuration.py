"""Which environment a local service gets."""

from pathlib import Path

import msgspec
import pytest

from deploy.local.errors import StackError
from deploy.local.private import Private
from deploy.local.service import fingerprint, local_environment, without_configuration
from deploy.local.stack import Stack
from services.ingest import settings as ingest
from services.janitor import settings as janitor
from services.notifier import settings as notifier
from services.transcriber import settings as transcriber
from services.transcriber.engine.settings import EngineSettings

OWN = {
    "DATABASE_URL": "postgresql://me@db/mine",
    "AMQP_URL": "amqp://me@broker/mine",
    "S3_ENDPOINT_URL": "https://store",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


def environment(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """What a service would be given, with servers of the user's own so that none is needed."""
    stack = Stack(tmp_path, OWN | environ)
    return local_environment(stack, models=tmp_path / "models", private=Private(tmp_path / "private.json"), environ=OWN | environ)


def test_servers_of_the_user_replace_ours(tmp_path: Path) -> None:
    """With all three given, nothing is left for the stack to run, and services are sent to theirs."""
    stack = Stack(tmp_path, OWN)
    assert stack.servers == ()
    assert {name: stack.environment[name] for name in OWN} == OWN


@pytest.mark.parametrize(("given", "ours"), [("DATABASE_URL", "postgres"), ("AMQP_URL", "rabbitmq"), ("S3_ENDPOINT_URL", "seaweedfs")])
def test_each_server_is_replaced_by_itself(tmp_path: Path, given: str, ours: str) -> None:
    """One variable replaces one server and leaves the two others ours."""
    stack = Stack(tmp_path, {name: value for name, value in OWN.items() if name == given or name.startswith("AWS")})
    assert ours not in [server.name for server in stack.servers]
    assert len(stack.servers) == 2


def test_a_store_without_keys_is_refused(tmp_path: Path) -> None:
    """The error names the variables that are missing."""
    with pytest.raises(StackError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        Stack(tmp_path, {"S3_ENDPOINT_URL": "https://store"})


def test_the_api_without_keys_stays_on_loopback(tmp_path: Path) -> None:
    """Not even the user's own HOST can open an API that asks for no key."""
    given = environment(tmp_path, {"HOST": "0.0.0.0", "AUTH": "on"})
    assert (given["AUTH"], given["HOST"], given["HEALTH_HOST"]) == ("off", "127.0.0.1", "127.0.0.1")


def test_configuration_of_the_user_wins_over_defaults(tmp_path: Path) -> None:
    """What somebody set for a service reaches it; an empty variable counts as unset."""
    given = environment(tmp_path, {"JOB_TIME_LIMIT_SECONDS": "60", "LOG_FORMAT": ""})
    assert given["JOB_TIME_LIMIT_SECONDS"] == "60"
    assert given["LOG_FORMAT"] == "console"


def test_recordings_are_worked_on_in_the_own_directory(tmp_path: Path) -> None:
    """The system's directory for temporary files may be memory; who has named another place wants that one."""
    own = Path(environment(tmp_path, {})["TMPDIR"])
    assert own.is_dir()
    assert tmp_path in own.parents
    assert environment(tmp_path, {"TMPDIR": "/mine"})["TMPDIR"] == "/mine"


def test_only_configuration_changes_the_fingerprint() -> None:
    """A changed setting makes a service start again, a changed terminal does not."""
    before = {"WHISPER_MODEL_SIZE": "base", "TERM": "xterm"}
    assert fingerprint(before) == fingerprint(before | {"TERM": "dumb", "SSH_TTY": "/dev/pts/1"})
    assert fingerprint(before) != fingerprint(before | {"WHISPER_MODEL_SIZE": "small"})


@pytest.mark.parametrize("settings", [ingest.Settings, janitor.Settings, notifier.Settings, transcriber.Settings, EngineSettings])
def test_every_setting_is_configuration(settings: type[msgspec.Struct]) -> None:
    """Or a change of it would go unnoticed."""
    names = [name.upper() for name in settings.__struct_fields__]
    assert without_configuration(dict.fromkeys(names, "1")) == {}


def test_tests_do_not_inherit_configuration() -> None:
    """A developer's own settings do not decide how a test ends."""
    assert without_configuration({"PATH": "/bin", "WEBHOOK_TIMEOUT": "1", "OTEL_SDK_DISABLED": "true"}) == {"PATH": "/bin"}
