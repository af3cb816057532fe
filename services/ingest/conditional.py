"""Answers that need not be sent again: an ETag on each, and 304 for a client that has it already (RFC 9110, 13.1.2).

The tag is a digest of the very bytes of the answer, so it is never wrong, whatever made them change. Such answers are what is asked for
most, again and again, and are put together in fewer steps than the framework takes for answers of every kind.
"""

import hashlib
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.response.base import ASGIResponse

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
_JSON = "application/json"
# The answer may be kept by who asked, and must be asked for again.
_KEPT = (b"cache-control", b"private, no-cache")


class Conditional(Response[T]):
    """For `response_class` of handlers that answer 200 with bytes or with a document."""

    def to_asgi_response(
        self,
        app: object,  # noqa: ARG002 - the framework's signature
        request: Request[Any, Any, Any],
        *,
        media_type: str | None = None,
        **_others: Any,
    ) -> ASGIResponse:
        """The answer, or 304."""
        body = self.content if isinstance(self.content, bytes) else _ENCODER.encode(self.content)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        headers += [(b"etag", tag.encode()), _KEPT]
        wanted = next((value for name, value in request.scope["headers"] if name == b"if-none-match"), None)
        if wanted is not None and matches(tag, wanted.decode("latin-1")):
            return _Whole(304, headers, b"")
        kind = self.media_type or media_type or _JSON
        headers += [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        return _Whole(200, headers, body)


class _Whole(ASGIResponse):
    """Encoded already."""

    def __init__(self, status_code: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status_code
        self.headers = MutableScopeHeaders({"headers": headers})
        self.body = body
        self.content_length = len(body)
        self.encoding = "utf-8"
        self.background = None
        self.is_head_response = False
        self._encoded_cookies = ()


def matches(tag: str, wanted: str) -> bool:
    """Whether an `If-None-Match` header names the tag, by the weak comparison that it asks for."""
    return wanted.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in wanted.split(","))
