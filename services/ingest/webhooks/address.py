"""An address that an endpoint may have. What a name leads to is found out at each connection, and refused there."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from common.public_address import may_connect
from common.settings import Network
from services.ingest import query


def check(url: str, allowed: Sequence[Network]) -> None:
    """Raises `Problem` 422 for what is no http(s) URL, has a user or password in it, or names an address that may not be connected to."""
    if not url.isprintable() or " " in url:
        raise query.invalid("url", "it has spaces or control characters in it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise query.invalid("url", f"it is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise query.invalid("url", "it must be an http or https URL, such as https://example.com/hooks")
    if "@" in parts.netloc:
        raise query.invalid("url", "leave user and password out of it; the signature says who sends")
    try:
        ip_address(host)
    except ValueError:
        return
    if not may_connect(host, allowed):
        raise query.invalid("url", "its address is not public, and not in a network that WEBHOOK_ALLOW_NETWORKS opens")
