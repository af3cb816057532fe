"""Which site a request's page is from, as browsers say it of all but what a page may do anywhere.

Browsers let any page open a WebSocket anywhere, and send forms and texts, and say only where the page is from. Where keys are asked for,
one that has none can do no harm; where none are, it could have every transcript sent to itself.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from litestar.types import Scope

from services.ingest.problems import Problem


def check(scope: Scope, allowed: Sequence[str]) -> None:
    """Raises `Problem` 403 for a page that is neither of this server nor from one of the `allowed` origins, of which `*` is every one."""
    headers = dict(scope["headers"])
    origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    if origin and _netloc(origin) != host and origin not in allowed and "*" not in allowed:
        raise Problem(403, "foreign_origin", "This is not for pages of other sites, but for those that CORS_ALLOW_ORIGINS names.")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as an address that is none
        return None
