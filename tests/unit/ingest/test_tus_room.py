"""What tus brings is held in the room that there is for all."""

from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from common import ids
from common.ids import JobId, LeaseToken
from common.resumable import Upload, UploadStatus
from common.room import FIRST_BYTES, NoRoom, Room
from services.ingest.tus.appending import Append

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UPLOAD = Upload(
    id=JobId(ids.new()),
    tenant="a",
    protocol="tus",
    status=UploadStatus.UPLOADING,
    filename="",
    metadata="",
    size=2**30,
    sha256=None,
    part_size=5 * 2**20,
    multipart_id="m",
    received=0,
    tail=None,
    lease_token=LeaseToken(ids.new()),
    source=None,
    created_at=NOW,
    expires_at=NOW,
)


class Narrow:
    """A bucket that is asked for nothing."""

    def __init__(self) -> None:
        self.room = Room(1, patience=0.01)

    async def delete(self, keys: Iterable[str]) -> None:
        assert not [*keys]


def append(storage: Narrow, upload: Upload) -> Append:
    return Append(cast("Any", None), cast("Any", storage), cast("Any", SimpleNamespace(lifetime=timedelta(1))), upload, None)


async def sent(size: int) -> AsyncGenerator[bytes, None]:
    yield bytes(size)


@pytest.mark.parametrize(
    "upload", [UPLOAD, msgspec.structs.replace(UPLOAD, tail=LeaseToken(ids.new()), received=1)], ids=["bytes", "what-was-left"]
)
async def test_without_room_nothing_is_held(upload: Upload) -> None:
    """Neither what comes now nor what came before; and afterwards there is as much room as there was."""
    storage = Narrow()
    async with storage.room.share() as other:
        await other.hold(FIRST_BYTES + 1)
        with pytest.raises(NoRoom):
            await append(storage, upload).run(sent(FIRST_BYTES + 1))
    async with storage.room.share() as other:
        await other.hold(FIRST_BYTES + 1)
