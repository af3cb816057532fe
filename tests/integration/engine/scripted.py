"""A server that speaks OpenAI's API as a test tells it to."""

import io
import json
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

import av
from multipart import MultipartParser, parse_options_header

from services.transcriber.engine.media import SAMPLE_RATE


class Upload(NamedTuple):
    """A request, as it arrived."""

    path: str
    key: str
    form: dict[str, list[str]]
    audio: bytes

    @property
    def seconds(self) -> float:
        with av.open(io.BytesIO(self.audio), "r") as container:
            return sum(frame.samples for frame in container.decode(container.streams.audio[0])) / SAMPLE_RATE


class Reply(NamedTuple):
    """`body` is sent as JSON unless it is bytes; `hang` keeps the client waiting until the server closes."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    hang: bool = False


Script = Callable[[Upload], Reply]


class Scripted:
    """Answers every upload as `script` says, and remembers it."""

    def __init__(self, script: Script) -> None:
        self.script, self.uploads = script, list[Upload]()
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                upload = _read(self)
                outer.uploads.append(upload)
                outer._answer(self, outer.script(upload))

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.hang:
            self._closing.wait()
            handler.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


def in_turn(replies: Iterable[Reply]) -> Script:
    """One reply after the other; the last one for good."""
    waiting = list(replies)
    lock = threading.Lock()

    def script(_upload: Upload) -> Reply:
        with lock:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return script


def error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def _read(handler: BaseHTTPRequestHandler) -> Upload:
    body = handler.rfile.read(int(handler.headers["Content-Length"]))
    _, options = parse_options_header(handler.headers["Content-Type"])
    form: dict[str, list[str]] = {}
    audio = b""
    for part in MultipartParser(io.BytesIO(body), options["boundary"]):
        if part.filename:
            audio = part.raw
        else:
            form.setdefault(part.name, []).append(part.value)
        part.close()
    return Upload(handler.path, handler.headers.get("Authorization", ""), form, audio)
