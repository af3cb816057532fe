"""HTTP with a bound on what comes before a body: uvicorn's fast parser has none, and would keep whatever a client sends as a header.

The bytes are counted as they arrive, so a header without end is refused when it passes the limit, not when it is over; and one that comes
a byte at a time, or a connection on which nothing is said, is ended, or a few clients could hold all connections. Whatever is no
HTTP at all is answered in the same manner: with a problem, and the end of the connection. What the client still sends is thrown away for a
moment before that, as closing over unread bytes would cost it the answer.
"""

from asyncio import BaseTransport, TimerHandle
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.ingest.problems import MEDIA_TYPE

MAX_URL_BYTES = 8 * 2**10
MAX_HEAD_BYTES = 64 * 2**10
_LINGER_SECONDS = 2.0


class BoundedHttp(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    head_seconds = 30.0
    _late: TimerHandle | None = None  # runs while a head is waited for that did not come in one piece
    _in_head = False
    _arrived = 0  # bytes of reads that ended within the head
    _parsed = 0  # bytes of the URL and of headers that are complete
    _refusal: tuple[int, str, str] | None = None
    _over = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn's is narrower than asyncio's
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        super().data_received(data)
        if self._in_head and not self._over:
            if self._late is None:
                self._wait()
            self._arrived += len(data)
            if self._arrived > MAX_HEAD_BYTES + MAX_URL_BYTES:
                self._refusal = _LARGE_HEAD
                self.send_400_response("")

    def on_message_begin(self) -> None:
        self._in_head, self._arrived, self._parsed = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refuse(_LONG_URL)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parsed += len(name) + len(value)
        if self._parsed > MAX_HEAD_BYTES:
            self._refuse(_LARGE_HEAD)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._heard()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are replaced by ours
        """Uvicorn's name for the end of a connection whose bytes it cannot take; with us not always a 400."""
        status, code, detail = self._refusal or (400, "malformed_http", "The request cannot be read as HTTP.")
        title = HTTPStatus(status).phrase
        body = msgspec.json.encode(
            {"type": f"urn:verbatim:problem:{code}", "title": title, "status": status, "detail": detail, "code": code, "trace_id": None}
        )
        head = (
            f"HTTP/1.1 {status} {title}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        self._over = True
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self._give_up)

    def _heard(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait()  # it is the next request's head, and the answer to the last one is under way
        elif self._in_head:
            self._refusal = _SLOW_HEAD
            self.send_400_response("")
        else:
            self.transport.close()

    def _refuse(self, refusal: tuple[int, str, str]) -> Any:
        """Makes the parser give up, which ends in `send_400_response`."""
        self._refusal = refusal
        raise _Refused


class _Refused(Exception):
    pass


_LONG_URL = (414, "url_too_long", f"The URL is longer than {MAX_URL_BYTES} bytes.")
_SLOW_HEAD = (408, "headers_stalled", f"The headers did not come within {BoundedHttp.head_seconds:g} seconds.")
_LARGE_HEAD = (431, "headers_too_large", f"The headers are larger than {MAX_HEAD_BYTES} bytes.")
