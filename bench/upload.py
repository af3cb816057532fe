"""`./run bench upload`: 2 GiB through ingest against the same bytes put straight to the store by a multipart client.

The direct client is boto3's own `upload_file` (8 MiB parts, ten threads), in a process of its own. Both read the same file.
"""

import argparse
import asyncio
import http.client
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench._system import PeakMemory, System, report, running
from tests.recordings import wav

_MIB = 2**20
_WANTED_RSS = 150
_WANTED_RATIO = 0.6
_DIRECT = """
import sys, time, boto3
from botocore.config import Config
path, endpoint, bucket, key, secret = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1",
    config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"))
began = time.perf_counter()
client.upload_file(path, bucket, "bench/direct")
print(time.perf_counter() - began)
"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench upload")
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.mib, options.rounds))


async def _run(mib: int, rounds: int) -> None:
    through: list[float] = []
    direct: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "long.wav")
        await asyncio.to_thread(_write, path, mib)
        async with running("ingest") as system:
            async with PeakMemory(system.process("ingest")) as memory:
                for _ in range(rounds):
                    direct.append(await _put_direct(system, path))
                    through.append(await asyncio.to_thread(_post, system.url("ingest"), path))
            peak = memory.bytes / _MIB
    ratio = statistics.median(direct) / statistics.median(through)
    rows = [
        (f"{mib} MiB", "measured", "wanted"),
        ("straight to the store, MiB/s", f"{mib / statistics.median(direct):.0f}", ""),
        ("through ingest, MiB/s", f"{mib / statistics.median(through):.0f}", ""),
        ("through ingest / straight", f"{ratio:.2f}", f">= {_WANTED_RATIO}"),
        ("ingest's peak RSS, MiB", f"{peak:.0f}", f"<= {_WANTED_RSS}"),
    ]
    report("upload", rows, {"mib": mib, "direct_seconds": direct, "ingest_seconds": through, "ratio": ratio, "peak_rss_mib": peak})


def _write(path: Path, mib: int) -> None:
    """A WAV header and random bytes: nothing that a store could compress."""
    block = os.urandom(_MIB)
    with path.open("wb") as file:
        file.write(wav(b""))
        for _ in range(mib):
            file.write(block)


async def _put_direct(system: System, path: Path) -> float:
    s3 = system.stack.s3
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DIRECT, str(path), s3.endpoint_url, s3.bucket, s3.access_key, s3.secret_key, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return float(output)


def _post(url: str, path: Path) -> float:
    """Seconds for one submission, by a client that costs next to nothing."""
    head = b'--bench\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
    tail = b"\r\n--bench--\r\n"

    def body() -> Iterator[bytes]:
        yield head
        with path.open("rb") as file:
            while chunk := file.read(_MIB):
                yield chunk
        yield tail

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=600)
    headers = {
        "Content-Type": "multipart/form-data; boundary=bench",
        "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
    }
    began = time.perf_counter()
    connection.request("POST", "/api/v1/jobs", body=body(), headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - began
    assert answer.status == 202, text
    return seconds
