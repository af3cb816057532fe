"""Secrets and ports of one server: made once, kept in a file that only its owner can read, and gone with its directory."""

import os
import random
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

import msgspec

# Below the ranges from which Linux (32768) and macOS (49152) take ports for outgoing connections, so that a stopped server's
# port is still free when it starts again.
PORTS = range(20000, 32768)
_PART = 256


class Private:
    """A small JSON file (mode 0600) with what a server must find again after a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(20)) -> str:
        content = self._read()
        if name not in content.secrets:
            content.secrets[name] = make()
            self._write(content)
        return content.secrets[name]

    def port(self, name: str, preferred: int | None = None) -> int:
        """The port last agreed on by `claim_ports`; a first one is claimed now."""
        content = self._read()
        return content.ports.get(name) or self.claim_ports({name: preferred})[name]

    def claim_ports(self, preferred: Mapping[str, int | None], *, preferred_first: bool = False) -> dict[str, int]:
        """Take the port that was taken before if it is free, else the preferred one (or the other way round), else a new one.

        Call only while the server does not run: its own ports would not look free.
        """
        content = self._read()
        with _claiming:
            for name, first in preferred.items():
                known = (first, content.ports.get(name)) if preferred_first else (content.ports.get(name), first)
                port = next((port for port in known if port and is_free(port)), None) or _free_port()
                _claimed.add(port)
                content.ports[name] = port
        self._write(content)
        return {name: content.ports[name] for name in preferred}

    def _read(self) -> "_Content":
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Content)
        except FileNotFoundError:
            return _Content()

    def _write(self, content: "_Content") -> None:
        write_private(self._path, msgspec.json.encode(content))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file whole, never readable by others, never half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def is_free(port: int) -> bool:
    """Whether a server could listen there now (connections of an earlier one that linger do not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class _Content(msgspec.Struct, kw_only=True):
    secrets: dict[str, str] = {}
    ports: dict[str, int] = {}


# Servers start in parallel threads: between the choice of a port and its use, no other may choose it.
_claiming = Lock()
_claimed: set[int] = set()


def _free_port() -> int:
    # Random, because others on this machine choose from the same range; first from a part that processes started together do not share.
    start = os.getpid() % (len(PORTS) // _PART) * _PART
    for port in (*random.sample(PORTS[start : start + _PART], _PART), *random.sample(PORTS, len(PORTS))):
        if port not in _claimed and is_free(port):
            return port
    raise OSError("no free port on 127.0.0.1 between 20000 and 32767")
