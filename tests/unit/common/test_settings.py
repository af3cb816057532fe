"""Settings: everything that is wrong is told at once, and nothing that is unset is guessed."""

from ipaddress import ip_network
from typing import Literal

import msgspec
import pytest

from common.settings import Common, Network, SettingsError, load

REQUIRED = {
    "DATABASE_URL": "postgresql://localhost/verbatim",
    "AMQP_URL": "amqp://localhost",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


class Settings(Common, frozen=True, kw_only=True):
    """A service's own, with one field of each kind."""

    port: int = 8080
    lease_seconds: float = 15
    heartbeat_seconds: float = 4
    networks: tuple[Network, ...] = ()
    secrets: tuple[str, ...] = ()
    audio_hours: float | None = None
    sizes: dict[Literal["small", "large"], int] = msgspec.field(default_factory=dict)
    required_name: str

    def __post_init__(self) -> None:
        if self.lease_seconds <= 3 * self.heartbeat_seconds:
            raise ValueError("LEASE_SECONDS must be more than 3 x HEARTBEAT_SECONDS")


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(Settings, environ)
    return str(raised.value).splitlines()


def test_every_problem_is_reported_at_once() -> None:
    """All that is missing and all that is invalid, a line each, with the variable's name."""
    found = problems({"AMQP_URL": "amqp://localhost", "PORT": "eighty", "LEASE_SECONDS": "soon", "NETWORKS": "10.0.0.0/99"})
    assert [line.split()[0] for line in found] == [
        "DATABASE_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "PORT",
        "LEASE_SECONDS",
        "NETWORKS",
        "REQUIRED_NAME",
    ]


def test_values_are_converted() -> None:
    """Numbers, networks, lists and tables come as what they are; what is not set has its default."""
    settings = load(
        Settings,
        {
            **REQUIRED,
            "REQUIRED_NAME": "x",
            "PORT": "9000",
            "NETWORKS": "10.0.0.0/8, fd00::/8",
            "SECRETS": "one, two,",
            "AUDIO_HOURS": "1.5",
            "SIZES": "small=1, large = 20",
        },
    )
    assert settings.port == 9000
    assert settings.networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.secrets == ("one", "two")
    assert settings.audio_hours == 1.5
    assert settings.sizes == {"small": 1, "large": 20}
    assert settings.lease_seconds == 15
    assert settings.s3_endpoint_url is None


@pytest.mark.parametrize(
    ("sizes", "complaint"), [("small", "write it as name=value"), ("middle=5", "Invalid enum value 'middle'"), ("small=", "Expected `int`")]
)
def test_a_table_that_is_none_is_told(sizes: str, complaint: str) -> None:
    """Names and values are checked as those of any other setting."""
    [problem] = problems({**REQUIRED, "REQUIRED_NAME": "x", "SIZES": sizes})
    assert problem.startswith("SIZES is not valid")
    assert complaint in problem


def test_an_empty_variable_counts_as_unset() -> None:
    """Compose files pass empty strings for what the user did not set."""
    settings = load(Settings, {**REQUIRED, "REQUIRED_NAME": "x", "PORT": "", "S3_ENDPOINT_URL": " "})
    assert (settings.port, settings.s3_endpoint_url) == (8080, None)
    assert problems({**REQUIRED, "REQUIRED_NAME": " "}) == ["REQUIRED_NAME is not set"]


def test_rules_across_fields_are_checked() -> None:
    """A combination that cannot work is refused in the rule's own words."""
    assert problems({**REQUIRED, "REQUIRED_NAME": "x", "LEASE_SECONDS": "12"}) == ["LEASE_SECONDS must be more than 3 x HEARTBEAT_SECONDS"]


@pytest.mark.parametrize("password", ["hunter2/x", "hun#ter2", "hunter2?x", "hunter2[x"])
@pytest.mark.parametrize("name", ["DATABASE_URL", "AMQP_URL", "S3_ENDPOINT_URL"])
def test_a_url_that_is_none_is_told_without_its_password(name: str, password: str) -> None:
    """What has to be escaped in a password is said; the password is not, nor is it left to a library that would say it."""
    [problem] = problems({**REQUIRED, "REQUIRED_NAME": "x", name: f"scheme://user:{password}@127.0.0.1:5432/verbatim"})
    assert problem.startswith(f"{name} is not valid: it is not a URL")
    assert "hun" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter%2F2@127.0.0.1:5432/verbatim",
        "postgresql://user@[::1]:5432/verbatim",
        "postgresql://user@one:5432,two:5432/verbatim?target_session_attrs=primary",
        "postgresql:///verbatim?host=/run/postgresql",
    ],
)
def test_a_url_is_taken_as_it_is(url: str) -> None:
    """With a password, over IPv6, to one of several hosts, to a socket."""
    assert load(Settings, {**REQUIRED, "REQUIRED_NAME": "x", "DATABASE_URL": url}).database_url == url
