"""How a service's process ends when it cannot do its work: one last line that a person understands, and a status that is not 0."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE

import pytest

SERVICES = ("ingest", "transcriber", "notifier", "janitor")


async def last_words(name: str, environ: dict[str, str]) -> tuple[int, list[str]]:
    """Exit status and log lines of a service that is expected to end by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{name}", stdout=DEVNULL, stderr=PIPE, env={"PATH": os.environ["PATH"], **environ}
    )
    _, log = await asyncio.wait_for(process.communicate(), 200)
    assert process.returncode is not None
    return process.returncode, log.decode().splitlines()


@pytest.mark.parametrize("name", SERVICES)
async def test_missing_settings(name: str) -> None:
    """Every variable that is missing is named, each on a line."""
    status, lines = await last_words(name, {"AMQP_URL": "amqp://x"})
    assert status != 0
    assert lines[0] == f"{name} cannot start:"
    assert {"DATABASE_URL is not set", "AWS_ACCESS_KEY_ID is not set"} <= set(lines)


@pytest.mark.parametrize("url", ["postgresql://nobody:secret@127.0.0.1:1/none", "sqlite:///./secret.db"], ids=["away", "another kind"])
async def test_database_away(environment: dict[str, str], url: str) -> None:
    """A database that is not there, or is no Postgres, is said in one line that names the variable, without a stack trace."""
    status, lines = await last_words("janitor", environment | {"DATABASE_URL": url})
    assert status != 0
    assert lines[-1].startswith("janitor cannot start: the database cannot be reached at DATABASE_URL")
    assert not any("Traceback" in line or "secret" in line for line in lines)


async def test_engine_that_cannot_start(environment: dict[str, str]) -> None:
    """A model that does not exist stops the transcriber, and the last line says which part failed."""
    status, lines = await last_words("transcriber", environment | {"WHISPER_MODEL_SIZE": "no-such-model", "HF_HUB_OFFLINE": "1"})
    assert status != 0
    assert lines[-1].startswith("transcriber stopped: engine: ")
