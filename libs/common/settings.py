"""Settings come from the environment into one frozen struct per service, and every problem is reported at once.

A field `lease_seconds: float = 15` reads `LEASE_SECONDS`; a field without a default must be set. An empty variable counts as unset, as
compose files pass `X=${X:-}`. Several values are separated by commas; those of a dict are written as `name=value`. Cross-field rules are
the struct's own: `__post_init__` raises `ValueError` with one sentence.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeVar, get_origin
from urllib.parse import urlsplit

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
Network = IPv4Network | IPv6Network
Url = Annotated[str, msgspec.Meta(description="a URL, perhaps with a password in it")]

_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(:\d*)?")
_NO_URL = "it is not a URL. Write / ? # [ ] @ % of a user's name or password as %2F %3F %23 %5B %5D %40 %25"


class SettingsError(Exception):
    """One line for every variable that is missing or invalid."""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs to reach the three things they share."""

    database_url: Url
    amqp_url: Url
    s3_endpoint_url: Url | None = None
    s3_public_endpoint_url: Url | None = None
    s3_bucket: str = "verbatim"
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_region: str = "us-east-1"
    log_level: str = "info"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: Url | None = None
    drain_seconds: float = 30
    health_host: str = "127.0.0.1"
    health_port: int = 0


def load(kind: type[T], environ: Mapping[str, str]) -> T:
    """Read `kind` from `environ`; raises `SettingsError` naming every variable that is missing or invalid."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = field.name.upper()
        text = environ.get(name, "").strip()
        if not text:
            if field.required:
                problems.append(f"{name} is not set")
            continue
        try:
            values[field.name] = _parse(text, field.type)
        except ValueError as error:
            problems.append(f"{name} is not valid: {error}")
    if not problems:
        try:
            return kind(**values)
        except ValueError as error:
            problems.append(str(error))
    raise SettingsError("\n".join(problems))


def _parse(text: str, kind: Any) -> Any:
    if kind == tuple[Network, ...]:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if get_origin(kind) is dict:
        return msgspec.convert(dict(_pairs(text)), kind, strict=False)
    if kind in (Url, Url | None):
        return _url(text)
    return msgspec.convert(text, kind, strict=False)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        name, sign, value = part.partition("=")
        if not sign:
            raise ValueError("write it as name=value, separated by commas")
        yield name.strip(), value.strip()


def _url(text: str) -> str:
    """Raises `ValueError` without repeating it; a library would repeat the part of a password that it stumbles over, in a stack trace.

    Several hosts may be named, as for a database with replicas, or none, as for one with a socket.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_NO_URL) from None
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if not parts.scheme or "://" not in text or not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError(_NO_URL)
    return text
