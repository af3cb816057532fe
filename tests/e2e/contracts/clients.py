"""The example clients of the earlier services, run as they stand in their documents.

`snippets/` holds copies of their text, by document. Host and port are put in, and the id of a job where an example names one; the
recordings lie in the client's working directory under the names that the examples give them.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.e2e.contracts.node import Node

HERE = Path(__file__).parent
_SERVERS = re.compile(r"localhost:(8000|3333)")
_JOBS = re.compile(
    r"\{job_id\}|abc123-def456-789|550e8400-e29b-41d4-a716-446655440000|a1b2c3d4-e5f6-7890-abcd-ef1234567890",
)
_SECONDS = 150.0


class Ended(NamedTuple):
    """How a client ended, and what it wrote."""

    status: int
    output: str
    errors: str

    def answers(self) -> list[Any]:
        """The JSON documents that it wrote, one after another."""
        return list(_documents(self.output))


class Clients:
    """Runs examples against the server at `url`, in a directory of their own."""

    def __init__(self, url: str, folder: Path, node: Node | None = None) -> None:
        self.url = url
        self._server = urlsplit(url).netloc
        self.folder = folder
        self._node = node
        self._numbers = count()

    def among(self, name: str, node: Node | None = None) -> "Clients":
        """Others of the same server, in the directory `name` beside this one."""
        return Clients(self.url, self.folder.with_name(name), node)

    def give(self, content: bytes, *names: str) -> None:
        """Put a recording where the examples look for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (self.folder / name).write_bytes(content)

    async def run(self, snippet: str, *, job_id: str | None = None, before: str = "", instead: tuple[str, str] | None = None) -> Ended:
        """Run `snippet` (`queue/poll.py`) to its end.

        `before` stands above its text, for an example that is no whole program; `instead` is a change, for one that cannot work as it is.
        """
        text = (HERE / "snippets" / snippet).read_text()
        if instead is not None:
            assert instead[0] in text
            text = text.replace(*instead)
        text = _SERVERS.sub(self._server, before + text)
        if snippet.endswith(".sh") and job_id is not None:
            text = _JOBS.sub(job_id, text)
        self.folder.mkdir(parents=True, exist_ok=True)
        program = self.folder / f"{next(self._numbers)}-{snippet.replace('/', '-')}"
        program.write_text(text)
        return await self._end(*self._command(program))

    def _command(self, program: Path) -> tuple[str, ...]:
        match program.suffix:
            case ".sh":
                if shutil.which("curl") is None:
                    pytest.skip("there is no curl on this machine")
                return "bash", "-eu", program.name
            case ".py":
                return sys.executable, program.name
            case _:
                assert self._node is not None, "this one is in JavaScript"
                self._node.lend(self.folder)
                browser = ("--import", str(HERE / "browser.mjs")) if program.suffix == ".mjs" else ()
                return self._node.executable, *browser, program.name

    async def _end(self, *command: str) -> Ended:
        environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and name != "PYTHONPATH"}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError:
            pytest.fail(f"{command[-1]} has not ended after {_SECONDS:.0f} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ended(process.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))


def _documents(text: str) -> Iterator[Any]:
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        found, end = decoder.raw_decode(text, place)
        yield found
        place = end + len(text[end:]) - len(text[end:].lstrip())
