"""The API keeps what its OpenAPI document promises: Schemathesis tries all operations with all its checks, and sequences of them."""

import asyncio
import sys
from pathlib import Path

from common.database import Pool
from services.ingest.auth import SCOPES, create_key
from tests.running import Services

_HERE = Path(__file__).parent
_EXAMPLES = 10


async def test_it_finds_nothing(service: Services, pool: Pool, tmp_path: Path) -> None:
    """Valid requests are accepted, invalid ones refused, answers fit the document, nothing can be reached without a key."""
    ingest = await service("ingest", AUTH="on")
    async with pool.acquire() as connection:
        key = await create_key(connection, tenant="fuzzed", name="schemathesis", scopes=SCOPES)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={_HERE / 'schemathesis.toml'}", "run"),
        *("--checks=all", "--seed=1", f"--max-examples={_EXAMPLES}", "--no-color"),
        *(f"--header=Authorization: Bearer {key}", f"--url={ingest.url}", f"{ingest.url}/schema/openapi.json"),
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    report = output.decode()
    assert process.returncode == 0, report
    assert "Stateful" in report
