"""Clients that drip keep nobody out, however their bytes come."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from common.room import FIRST_BYTES, PLACES
from tests import recordings

FORM = {"Content-Type": "multipart/form-data; boundary=x"}
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@pytest.fixture(scope="session")
def sound() -> bytes:
    """Enough to need room, and no whole part."""
    whole = recordings.sample(copies=2)
    assert 2 * FIRST_BYTES < len(whole) < 5 * 2**20
    return whole


class Dripping:
    """A recording of which half comes at once, and then a byte now and then, until there is leave for the rest."""

    def __init__(self, sound: bytes, before: bytes = b"", after: bytes = b"") -> None:
        self._sound, self._before, self._after = sound, before, after
        self.leave = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        half = len(self._sound) // 2
        yield self._before + self._sound[:half]
        while not self.leave.is_set() and half < len(self._sound):
            await asyncio.sleep(0.5)
            yield self._sound[half : half + 1]
            half += 1
        yield self._sound[half:] + self._after


async def file(client: httpx.AsyncClient, size: int) -> str:
    address: str = (await client.post("/files", headers=TUS | {"Upload-Length": str(size)})).headers["location"]
    return address


@pytest.mark.parametrize(("slow", "fast"), [("form", "form"), ("form", "tus"), ("tus", "form")])
async def test_drips_keep_nobody_out(client: httpx.AsyncClient, sound: bytes, slow: str, fast: str) -> None:
    """As many as there is room for drip, and another one comes in: one of them makes way. Of tus what came is kept; all others end well."""
    drips = [Dripping(sound, HEAD, b"\r\n--x--\r\n") if slow == "form" else Dripping(sound) for _ in range(PLACES)]
    files = [await file(client, len(sound)) for _ in drips] if slow == "tus" else []

    async def drip(number: int) -> httpx.Response:
        if slow == "form":
            return await client.post("/api/v1/jobs", headers=FORM, content=drips[number])
        return await client.patch(files[number], headers=BYTES, content=drips[number])

    dripping = [asyncio.create_task(drip(number)) for number in range(len(drips))]
    await asyncio.sleep(3)
    if fast == "form":
        answer = await client.post("/api/v1/jobs", files={"file": ("b.wav", sound)})
        assert answer.status_code == 202
    else:
        answer = await client.patch(await file(client, len(sound)), headers=BYTES, content=sound)
        assert answer.status_code == 204
    for one in drips:
        one.leave.set()
    answers = await asyncio.gather(*dripping)
    refused = [number for number, answer in enumerate(answers) if answer.status_code == 503]
    assert len(refused) <= 1  # and none, where one of them was so late that the fast one was there before it
    assert {answer.status_code for answer in answers} - {503} == {202 if slow == "form" else 204}
    for number in refused:
        assert (answers[number].json()["code"], answers[number].headers["retry-after"]) == ("too_busy", "5")
        if slow == "tus":
            kept = await client.head(files[number], headers=TUS)
            assert int(kept.headers["upload-offset"]) >= len(sound) // 2
