"""An address that was signed is good for one object, one method and a while: whoever comes by it comes by no more than that."""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import httpx

from common.storage import Storage
from tests.running import wait_until

MINE = "audio/01990000-0000-7000-8000-000000000000.source"
OTHER = "audio/01990000-0000-7000-8000-000000000001.source"
WAV = "audio/wav"
LONG = timedelta(minutes=30)
MOMENT = timedelta(seconds=3)


async def signed(storage: Storage, key: str, lifetime: timedelta = LONG) -> str:
    return await storage.presign(key, lifetime=lifetime, filename="talk.wav", content_type=WAV)


def changed(url: str, **query: str) -> str:
    """The address with some of its query replaced, or more in it."""
    return str(httpx.URL(url).copy_merge_params(query))


async def test_reading_is_one_object_with_one_method(storage: Storage) -> None:
    """Another key, another method, another type, another bucket, a longer life: none of them is what was signed."""
    for key in (MINE, OTHER):
        await storage.put(key, b"RIFF", content_type=WAV)
    url = await signed(storage, MINE)
    parts = urlsplit(url)
    async with httpx.AsyncClient(timeout=60) as anybody:
        found = await anybody.get(url)
        assert (found.status_code, found.content, found.headers["content-type"]) == (200, b"RIFF", WAV)
        for method in ("PUT", "POST", "DELETE"):
            assert (await anybody.request(method, url, content=b"mine")).status_code in {403, 405}, method
        elsewhere = (
            url.replace(MINE, OTHER),
            url.replace(MINE, ""),
            url.replace(MINE, f"{MINE}/../../{OTHER}"),
            url.replace(f"/{storage.bucket}/", "/verbatim/"),
            changed(url, **{"X-Amz-Expires": "604800"}),
            changed(url, **{"X-Amz-Date": "20990101T000000Z"}),
            changed(url, **{"response-content-type": "text/html"}),
            changed(url, acl=""),
            changed(url, uploads=""),
            parts._replace(query="").geturl(),
            parts._replace(query=urlencode({"list-type": "2"}), path=f"/{storage.bucket}").geturl(),
        )
        for other in elsewhere:
            answer = await anybody.get(other)
            assert answer.status_code in {400, 403}, other
            assert b"RIFF" not in answer.content
        for key in (MINE, OTHER):
            assert await storage.get(key) == b"RIFF"


async def test_writing_is_one_part_of_one_size(storage: Storage) -> None:
    """The address of a part takes that part, of that upload, in that size, and gives nothing back."""
    mine, other = [await storage.multipart.begin(key) for key in (MINE, OTHER)]
    url = await storage.multipart.presign(MINE, mine, 1, size=4, lifetime=LONG)
    async with httpx.AsyncClient(timeout=60) as anybody:
        for elsewhere in (
            changed(url, partNumber="2"),
            changed(url, uploadId=other),
            changed(url.replace(MINE, OTHER), uploadId=other),
            url.replace(MINE, OTHER),
            str(httpx.URL(url).copy_remove_param("partNumber").copy_remove_param("uploadId")),
        ):
            assert (await anybody.put(elsewhere, content=b"RIFF")).status_code == 403, elsewhere
        assert (await anybody.put(url, content=b"RIFFS")).status_code == 403
        for method in ("GET", "POST", "DELETE"):
            assert (await anybody.request(method, url)).status_code in {403, 405}, method
        assert await storage.multipart.parts(MINE, mine) == []
        assert (await anybody.put(url, content=b"RIFF")).status_code == 200
    assert [(part.number, part.size) for part in await storage.multipart.parts(MINE, mine)] == [(1, 4)]
    assert await storage.multipart.parts(OTHER, other) == []
    for key, upload in ((MINE, mine), (OTHER, other)):
        await storage.abort_upload(key, upload)


async def test_an_address_stops_working_at_its_time(storage: Storage) -> None:
    """Both kinds, by the store's clock."""
    await storage.put(MINE, b"RIFF", content_type=WAV)
    upload = await storage.multipart.begin(MINE)
    writing = await storage.multipart.presign(MINE, upload, 1, size=4, lifetime=MOMENT)
    reading = ""
    async with httpx.AsyncClient(timeout=60) as anybody:

        async def works() -> bool:
            """Unless its time is over before it is asked for."""
            nonlocal reading
            reading = await signed(storage, MINE, MOMENT)
            return (await anybody.get(reading)).status_code == 200

        async def over() -> bool:
            return (await anybody.get(reading)).status_code == 403

        await wait_until(works, "an address that works")
        await wait_until(over, "the address to stop working")
        assert (await anybody.put(writing, content=b"RIFF")).status_code == 403
    assert await storage.multipart.parts(MINE, upload) == []
    await storage.abort_upload(MINE, upload)
