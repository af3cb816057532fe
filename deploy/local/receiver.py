"""A webhook receiver on loopback, as a customer would write it: it believes nothing whose signature does not verify."""

import queue
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError


class Received(msgspec.Struct, frozen=True):
    """One call; `verified` is whether the signature proves the sender, and `event` what was sent by one who is proven."""

    webhook_id: str
    verified: bool
    event: Any


class Receiver:
    """Listens while the block lasts; `next` waits for a call."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._received: queue.Queue[Received] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler([Webhook(secret) for secret in secrets], self._received))
        self._thread = Thread(target=self._server.serve_forever, name="webhook receiver", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/webhook"

    def next(self, limit: float) -> Received | None:
        """The next call, or None when none comes within `limit` seconds."""
        try:
            return self._received.get(timeout=limit)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(verifiers: Sequence[Webhook], received: "queue.Queue[Received]") -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            verified = any(verifies(verifier, body, dict(self.headers.items())) for verifier in verifiers)
            self.send_response(HTTPStatus.NO_CONTENT if verified else HTTPStatus.UNAUTHORIZED)
            self.end_headers()
            event = msgspec.json.decode(body) if verified else {}
            received.put(Received(self.headers.get("webhook-id", ""), verified, event))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
            """Keep the terminal for the demo."""

    return Handler


def verifies(verifier: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    """Whether the signature proves the sender. The library raises `ValueError` for a signature or a body that it cannot even read."""
    try:
        verifier.verify(body, {name.lower(): value for name, value in headers.items()})
    except (WebhookVerificationError, ValueError):
        return False
    return True
