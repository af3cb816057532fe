"""The bucket: what is stored is there whole or not at all, in bounded memory, and every failure says whether trying again can help."""

import asyncio
import functools
import hashlib
import io
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common import storage as stores
from common.errors import PermanentError, TransientError
from common.room import FIRST_BYTES, NoRoom, Room
from common.storage import Storage
from common.upload import PART_BYTES
from deploy.local.stack import Stack

KEY = "audio/01990000-0000-7000-8000-000000000000.source"
WAV = "audio/wav"
MIB = 2**20


async def everything(storage: Storage) -> list[str]:
    """What is in the bucket: objects, and uploads that were never ended."""
    return [found.key async for found in storage.objects()] + [found.key async for found in storage.open_uploads()]


@asynccontextmanager
async def at(port: int, bucket: str = "verbatim") -> AsyncIterator[Storage]:
    async with stores.connect(
        endpoint_url=f"http://127.0.0.1:{port}", bucket=bucket, access_key="key", secret_key="secret", region="us-east-1"
    ) as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12_345])
async def test_an_upload_of_any_size_comes_back_as_it_was(storage: Storage, tmp_path: Path, size: int) -> None:
    """Whatever the size is to a part's, the object is the bytes, and so are the count and the hash."""
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    async with storage.upload(KEY, content_type=WAV) as upload:
        for start in range(0, size, 3 * MIB):
            await upload.write(data[start : start + 3 * MIB])
    assert (upload.size, upload.sha256) == (size, hashlib.sha256(data).hexdigest())
    await storage.download(KEY, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert await everything(storage) == [KEY]


async def test_memory_does_not_grow_with_the_upload(storage: Storage) -> None:
    """Twelve parts hold no more memory than the three that may be on their way, each with the copy that is being sent."""
    chunk = bytes(MIB)
    tracemalloc.start()
    try:
        async with storage.upload(KEY, content_type=WAV) as upload:
            for _ in range(12 * PART_BYTES // MIB):
                await upload.write(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert upload.size == 12 * PART_BYTES
    assert peak < 6 * PART_BYTES


@pytest.mark.parametrize("parts", [0, 1, 3])
async def test_a_failed_upload_leaves_nothing(storage: Storage, parts: int) -> None:
    """An exception in the middle takes the parts away, and comes out as it was."""

    async def break_off() -> None:
        async with storage.upload(KEY, content_type=WAV) as upload:
            for _ in range(parts):
                await upload.write(bytes(PART_BYTES))
            await upload.write(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await everything(storage) == []


async def test_an_upload_cancelled_at_any_moment_leaves_nothing(storage: Storage) -> None:
    """Whether it is beginning, sending parts or completing: no object, no open upload. Or it had ended, and the object is there."""

    async def work() -> None:
        async with storage.upload(KEY, content_type=WAV) as upload:
            for _ in range(2):
                await upload.write(bytes(PART_BYTES))
            await upload.write(b"tail")

    loop = asyncio.get_running_loop()
    started = loop.time()
    await work()
    usual = loop.time() - started
    await storage.delete([KEY])
    outcomes = set()
    for step in range(16):
        task = asyncio.create_task(work())
        await asyncio.wait({task}, timeout=usual * 1.2 * step / 16)
        task.cancel()
        await asyncio.wait({task})
        outcomes.add(task.cancelled())
        assert await everything(storage) == ([] if task.cancelled() else [KEY])
        await storage.delete([KEY])
    assert True in outcomes


class Late:
    """A client whose last request the store gets round to late, whether or not anybody waits for it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked, self.proceed, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return functools.partial(self._late, found) if name in {"put_object", "complete_multipart_upload"} else found

    async def _late(self, request: Callable[..., Awaitable[object]], **said: object) -> object:
        async def make() -> object:
            await self.proceed.wait()
            try:
                return await request(**said)
            finally:
                self.over.set()

        self.asked.set()
        return await asyncio.shield(asyncio.create_task(make()))


@pytest.mark.parametrize("size", [4, PART_BYTES + 4])
async def test_what_the_store_does_late_is_undone_too(storage: Storage, size: int) -> None:
    """An upload that is cancelled at its last request leaves nothing, though the store carries that out afterwards."""
    late: Any = Late(storage._client)

    async def work() -> None:
        async with Storage(late, storage.bucket).upload(KEY, content_type=WAV) as upload:
            await upload.write(bytes(size))
            await upload.write(b"tail")

    task = asyncio.create_task(work())
    await late.asked.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=0.3)  # in which it would have been undone too early
    late.proceed.set()
    await asyncio.wait({task})
    await late.over.wait()
    assert task.cancelled()
    assert await everything(storage) == []


async def test_open_uploads_are_listed_with_their_age_and_can_be_aborted(storage: Storage) -> None:
    """An upload that nobody ended shows with how long ago it was begun, only under its prefix, and aborting twice is no error."""
    opened = storage.upload(KEY, content_type=WAV)
    upload = await opened.__aenter__()
    await upload.write(bytes(PART_BYTES))

    [found] = [entry async for entry in storage.open_uploads("audio/")]

    assert found.key == KEY
    assert timedelta(seconds=-2) < found.age < timedelta(seconds=60)  # whole seconds are told
    assert [entry async for entry in storage.open_uploads("results/")] == []
    assert [entry async for entry in storage.objects()] == []  # parts are no objects
    await storage.abort_upload(KEY, found.upload_id)
    await storage.abort_upload(KEY, found.upload_id)
    assert await everything(storage) == []
    with pytest.raises(TransientError):
        await opened.__aexit__(None, None, None)


async def test_open_uploads_beyond_one_page_are_all_listed(storage: Storage) -> None:
    """The listing goes on where a page ends."""
    client = storage._client
    keys = {f"audio/{number}.source" for number in range(12)}
    for key in keys:
        await client.create_multipart_upload(Bucket=storage.bucket, Key=key)
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=storage.bucket, PaginationConfig={"PageSize": 5})
    listed = [upload["Key"] async for page in pages for upload in page.get("Uploads", ())]
    assert sorted(listed) == sorted(keys)
    for found in [entry async for entry in storage.open_uploads()]:
        await storage.abort_upload(found.key, found.upload_id)


async def test_a_prefix_is_deleted_with_all_that_is_under_it(storage: Storage) -> None:
    """Everything under the prefix goes, in as many requests as it takes; what merely begins alike stays."""
    keys = [f"results/a/{number}.json" for number in range(30)]
    await asyncio.gather(*(storage.put(key, b"{}", content_type="application/json") for key in [*keys, "results/ab/1.json"]))
    assert await storage.delete_prefix("results/a/") == len(keys)
    assert await storage.delete_prefix("results/a/") == 0
    assert await everything(storage) == ["results/ab/1.json"]


async def test_listings_go_on_over_pages(storage: Storage) -> None:
    """More objects than a page of S3's holds come in key order, each once."""
    keys = [f"audio/{number:04}.source" for number in range(1_050)]
    room = asyncio.Semaphore(32)

    async def put(key: str) -> None:
        async with room:
            await storage.put(key, b"x", content_type=WAV)

    await asyncio.gather(*map(put, keys))
    assert [found.key async for found in storage.objects("audio/")] == keys
    assert await storage.delete_prefix("audio/") == len(keys)


async def test_what_is_not_there_is_a_permanent_error(storage: Storage, tmp_path: Path) -> None:
    """Reading a missing object can never succeed; deleting it already has."""
    with pytest.raises(PermanentError, match="object_missing"):
        await storage.get(KEY)
    with pytest.raises(PermanentError, match="object_missing"):
        await storage.download(KEY, tmp_path / "nothing")
    await storage.delete([KEY])


async def test_a_store_that_is_away_is_a_transient_error(unused_tcp_port: int) -> None:
    """Nothing listens there: trying again later can help."""
    async with at(unused_tcp_port) as away:
        with pytest.raises(TransientError, match="storage_unavailable"):
            await away.ping()


async def test_a_store_that_refuses_us_says_where_to_look(stack: Stack, bucket: str) -> None:
    """Wrong credentials and a clock that is far off are refused alike, and neither is for ever."""
    refused = stores.connect(
        endpoint_url=stack.s3.endpoint_url, bucket=bucket, access_key=stack.s3.access_key, secret_key="wrong", region="us-east-1"
    )
    async with refused as store:
        with pytest.raises(TransientError, match="credentials, and at this machine's clock"):
            await store.ping()


async def test_a_store_that_says_nothing_is_a_transient_error() -> None:
    """One that takes a request and never answers, or stops reading it in the middle, keeps nobody waiting for ever."""
    held: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.readuntil(b"\r\n\r\n")

    server = await asyncio.start_server(take, "127.0.0.1", 0, limit=2**16)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    silent = stores.connect(
        endpoint_url=endpoint, bucket="b", access_key="a", secret_key="s", region="us-east-1", patience=timedelta(seconds=0.3)
    )
    async with silent as store, asyncio.timeout(60):
        for size in (10, 12 * 2**20):
            with pytest.raises(TransientError, match="storage_unavailable"):
                await store.put("small", bytes(size), content_type="audio/wav")
            with pytest.raises(TransientError, match="storage_unavailable"):
                await store.multipart.send("large", "an upload", 1, io.BytesIO(bytes(size)), size)
    for writer in held:
        writer.transport.abort()
    server.close()


async def test_writes_ask_for_no_leave(storage: Storage) -> None:
    """No `Expect: 100-continue`: leave that never comes would be waited for without any timeout."""
    asked: list[str] = []
    storage._client.meta.events.register("before-send.s3", lambda request, **_: asked.extend(request.headers))
    await storage.put("small", b"sound", content_type="audio/wav")
    assert "Content-Type" in asked
    assert "Expect" not in asked


async def test_a_download_cut_short_is_a_transient_error(tmp_path: Path) -> None:
    """A store that dies in the middle of an object gives no truncated recording but an error worth a retry."""

    async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: audio/wav\r\n\r\n0123456789")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(cut_short, "127.0.0.1", 0)
    async with server, at(server.sockets[0].getsockname()[1]) as broken:
        with pytest.raises(TransientError, match="storage_unavailable"):
            await broken.download(KEY, tmp_path / "short")
        with pytest.raises(TransientError, match="storage_unavailable"):
            await broken.get(KEY)


async def test_readers_that_stop_keep_nobody_from_the_store(storage: Storage) -> None:
    """More of them than there are connections; those that go on get the object as it was, to its last byte."""
    data = secrets.token_bytes(2**19 + 5)
    await storage.put(KEY, data * 8, content_type="application/zip")
    async with AsyncExitStack() as readers:
        stopped = [await readers.enter_async_context(aclosing(storage.pieces(KEY))) for _ in range(70)]
        async with asyncio.timeout(120):
            begun = [await anext(reader) for reader in stopped]
            assert await storage.size(KEY) == len(data) * 8
            assert begun[0] + b"".join([piece async for piece in stopped[0]]) == data * 8


async def test_no_object_is_made_of_two(storage: Storage) -> None:
    """One that is stored anew while it is read is not gone on with."""
    await storage.put(KEY, bytes(2**20), content_type="application/zip")
    async with aclosing(storage.pieces(KEY)) as pieces:
        await anext(pieces)
        await storage.put(KEY, b"x" * 2**20, content_type="application/zip")
        with pytest.raises(TransientError, match="PreconditionFailed"):
            await anext(pieces)


async def test_the_bucket_is_made_when_it_is_missing(stack: Stack) -> None:
    """Starting against an empty store makes the bucket; starting again changes nothing, also when two start at once."""
    async with stores.connect(
        endpoint_url=stack.s3.endpoint_url,
        bucket=f"test-{secrets.token_hex(6)}",
        access_key=stack.s3.access_key,
        secret_key=stack.s3.secret_key,
        region="us-east-1",
    ) as fresh:
        with pytest.raises(PermanentError):
            await fresh.ping()
        try:
            await asyncio.gather(*(fresh.ensure_bucket() for _ in range(3)))
            await fresh.put(KEY, b"kept", content_type=WAV)
            await fresh.ensure_bucket()
            assert await fresh.get(KEY) == b"kept"
        finally:
            await fresh.delete_prefix("")
            await fresh._client.delete_bucket(Bucket=fresh.bucket)


async def test_uploads_take_turns_when_there_is_no_room(storage: Storage) -> None:
    """Who begins to fill a part waits until another upload has sent its own; and the first bytes need no room."""
    narrow = Storage(storage._client, storage.bucket, room=Room(1))
    async with narrow.upload("audio/a", content_type=WAV) as first, narrow.upload("audio/b", content_type=WAV) as second:
        await first.write(bytes(FIRST_BYTES + 1))
        await asyncio.wait_for(second.write(bytes(FIRST_BYTES)), 60)
        waiting = asyncio.create_task(second.write(b"b"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await first.write(bytes(PART_BYTES))  # which sends it
        await asyncio.wait_for(waiting, 60)
    assert await everything(storage) == ["audio/a", "audio/b"]


async def test_who_makes_way_leaves_nothing(storage: Storage) -> None:
    """The slow upload is broken off while its client is waited for, the fast one ends well."""
    narrow = Storage(storage._client, storage.bucket, room=Room(1, turn=0.01))
    filling = asyncio.Event()

    async def drip() -> None:
        async with narrow.upload("audio/slow", content_type=WAV) as upload:
            await upload.write(bytes(PART_BYTES))
            await upload.write(bytes(FIRST_BYTES + 1))
            filling.set()
            await asyncio.Event().wait()

    dripping = asyncio.create_task(drip())
    await filling.wait()
    async with narrow.upload("audio/fast", content_type=WAV) as upload:
        await upload.write(bytes(PART_BYTES))
    with pytest.raises(NoRoom):
        await dripping
    assert await everything(storage) == ["audio/fast"]
