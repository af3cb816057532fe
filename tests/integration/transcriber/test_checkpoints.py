"""What the parent does with checkpoints: brings them, takes them to the store, and never fails for them."""

import asyncio
from pathlib import Path

import pytest

from common import ids
from common.errors import PermanentError, TransientError
from common.ids import JobId
from common.storage import Storage
from common.storage_keys import checkpoint_key, checkpoint_prefix
from services.transcriber.checkpoints import Checkpoints, checkpoints
from tests.running import wait_until

JOB = JobId(ids.new())


class Away(Storage):
    """A bucket that answers nothing."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage._client, "test-no-such-bucket")


class Hanging(Storage):
    """A bucket that takes for ever to store anything."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage._client, storage.bucket)
        self.asked, self.stopped = asyncio.Event(), False

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:  # noqa: ARG002 - the interface
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


def write(kept: Checkpoints) -> None:
    (kept.folder / "transcribe.json").write_bytes(b"[1]")
    kept.store("transcribe")


async def keys(storage: Storage) -> list[str]:
    return [found.key async for found in storage.objects(checkpoint_prefix(JOB))]


async def test_the_next_attempt_finds_what_this_one_left(storage: Storage, tmp_path: Path) -> None:
    """Also what was still on its way when the attempt failed; when the job is completed, nothing remains."""

    async def fail() -> None:
        async with checkpoints(storage, JOB, tmp_path / "first") as first:
            write(first)
            raise TransientError("engine_died", "It died.")

    with pytest.raises(TransientError):
        await fail()
    async with checkpoints(storage, JOB, tmp_path / "second") as second:
        await second.fetch()
        assert (second.folder / "transcribe.json").read_bytes() == b"[1]"
    await second.clear()
    assert await keys(storage) == []


async def test_they_are_stored_while_the_attempt_goes_on(storage: Storage, tmp_path: Path) -> None:
    """A worker that is killed a moment later has not transcribed in vain; whoever stored them deletes them."""
    async with checkpoints(storage, JOB, tmp_path / "only") as kept:
        write(kept)
        await wait_until(lambda: storage.exists(checkpoint_key(JOB, "transcribe")), "the checkpoint to be stored")
    await kept.clear()
    assert await keys(storage) == []


async def test_a_store_that_is_away_costs_no_attempt(storage: Storage, tmp_path: Path) -> None:
    """Nothing is fetched, nothing stored, and nothing raised."""
    async with checkpoints(Away(storage), JOB, tmp_path / "only") as kept:
        await kept.fetch()
        write(kept)


async def test_what_nobody_will_go_on_from_is_not_waited_for(storage: Storage, tmp_path: Path) -> None:
    """Neither after the end of the work nor after a failure that would come again."""
    hanging = Hanging(storage)

    async def fail() -> None:
        async with checkpoints(hanging, JOB, tmp_path / "only") as kept:
            write(kept)
            await hanging.asked.wait()
            raise PermanentError("empty_audio", "There is nothing in it.")

    with pytest.raises(PermanentError):
        await asyncio.wait_for(fail(), 60)
    assert hanging.stopped
