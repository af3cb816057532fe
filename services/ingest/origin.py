"""Which site a request is from, as browsers say it: the page's, or the name under which the page found this server.

Browsers let any page open a WebSocket anywhere, and send forms and texts, and say only where the page is from. Where keys are asked for,
one that has none can do no harm; where none are, it could have every transcript sent to itself. And who owns a name may let it lead to this
machine, whose server then is one of its own pages' (DNS rebinding): so names that somebody else may own are none of this server's.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from litestar.types import Scope

from services.ingest.problems import Problem


def check(scope: Scope, allowed: Sequence[str]) -> None:
    """Raises `Problem` 403 for a page that is neither of this server nor from one of the `allowed` origins, of which `*` is every one."""
    headers = dict(scope["headers"])
    origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    if origin and _netloc(origin) != host and origin not in allowed and "*" not in allowed:
        raise Problem(403, "foreign_origin", "This is not for pages of other sites, but for those that CORS_ALLOW_ORIGINS names.")


def check_host(scope: Scope, allowed: tuple[str, ...]) -> None:
    """The same for a name that somebody else may own, and that none of the `allowed` origins has."""
    for name, value in scope["headers"]:
        if name == b"host" and not _is_own(value, allowed):
            raise Problem(
                403,
                "foreign_host",
                "Without keys this server answers to addresses and to localhost; name the origin in CORS_ALLOW_ORIGINS, or set AUTH=on.",
            )


@lru_cache(maxsize=256)
def _is_own(value: bytes, allowed: tuple[str, ...]) -> bool:
    """Whether nobody can have the name registered (an address, a name without a dot, one under `localhost`), or it is allowed."""
    host = value.decode("latin-1")
    if host in map(_netloc, allowed) or "*" in allowed:
        return True
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        if "." not in name or name.endswith(".localhost"):
            return True
        ip_address(name)
    except ValueError:
        return False
    return True


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as an address that is none
        return None
