"""A client that costs little: GETs over a few connections that are kept open, in a process of its own.

`python -m bench._load URL SECONDS CONNECTIONS` prints the number of answers of status 200 a second.
"""

import asyncio
import os
import sys
import time
from urllib.parse import urlsplit

import psutil

LAST_CORE = (os.cpu_count() or 1) - 1


async def requests_per_second(url: str, *, seconds: float, connections: int = 16) -> float:
    """Run the client on the last core while the server, pinned by the caller, has another."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench._load", url, str(seconds), str(connections), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"the load on {url} failed"
    return float(output)


def pin(process: psutil.Process, core: int) -> None:
    """Keep every thread of `process` on one core, where the system lets us."""
    if hasattr(process, "cpu_affinity"):
        for thread in process.threads():
            psutil.Process(thread.id).cpu_affinity([core])
        process.cpu_affinity([core])


async def _load(url: str, seconds: float, connections: int) -> float:
    began = time.perf_counter()
    counts = await asyncio.gather(*[_connection(url, began + seconds) for _ in range(connections)])
    return sum(counts) / (time.perf_counter() - began)


async def _connection(url: str, deadline: float) -> int:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    request = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    count = 0
    try:
        while time.perf_counter() < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{url} answered {head[:200]!r}")
            length = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b": 0")
            await reader.readexactly(int(length.split(b":")[1]))
            count += 1
    finally:
        writer.close()
    return count


if __name__ == "__main__":
    pin(psutil.Process(), LAST_CORE)
    print(asyncio.run(_load(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
