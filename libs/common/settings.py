"""Settings come from the environment into one frozen struct per service, and every problem is reported at once.

A field `lease_seconds: float = 15` reads `LEASE_SECONDS`; a field without a default must be set. An empty variable counts as unset, as
compose files pass `X=${X:-}`. Cross-field rules are the struct's own: `__post_init__` raises `ValueError` with one sentence.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """One line for every variable that is missing or invalid."""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs to reach the three things they share."""

    database_url: str
    amqp_url: str
    s3_endpoint_url: str | None = None
    s3_public_endpoint_url: str | None = None
    s3_bucket: str = "verbatim"
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_region: str = "us-east-1"
    log_level: str = "info"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str | None = None
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
    return msgspec.convert(text, kind, strict=False)
