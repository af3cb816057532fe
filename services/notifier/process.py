"""A webhook's body as the earlier service for media files words it (docs/api/earlier-services.md): how a job ended, without an envelope.

How it ended is read from what was laid down at the event, which nothing changes any more; only the result comes from elsewhere.
"""

from datetime import datetime
from typing import Literal

import msgspec

from common.jobs.job import Failure
from common.rendering.clock import zoned
from common.rendering.process import ProcessResult

_CANCELLED = "The job was cancelled."


class _Ended(msgspec.Struct, frozen=True):
    id: str
    finished_at: datetime | None = None
    error: Failure | None = None


class _Laid(msgspec.Struct, frozen=True):
    data: _Ended


class _Completed(msgspec.Struct, frozen=True, kw_only=True):
    job_id: str
    completed_at: str | None
    result: ProcessResult | None
    result_url: str | msgspec.UnsetType = msgspec.UNSET
    status: Literal["completed"] = "completed"


class _Failed(msgspec.Struct, frozen=True, kw_only=True):
    job_id: str
    completed_at: str | None
    error_message: str
    status: Literal["failed"] = "failed"


def completed(laid: bytes, result: ProcessResult | None, link: str | None = None) -> bytes:
    """With the result; without one that has expired; or with a link in its place."""
    data = msgspec.json.decode(laid, type=_Laid).data
    url = msgspec.UNSET if link is None else link
    return msgspec.json.encode(_Completed(job_id=data.id, completed_at=zoned(data.finished_at), result=result, result_url=url))


def failed(laid: bytes) -> bytes:
    """It knew no cancelling."""
    data = msgspec.json.decode(laid, type=_Laid).data
    message = _CANCELLED if data.error is None else data.error.message
    return msgspec.json.encode(_Failed(job_id=data.id, completed_at=zoned(data.finished_at), error_message=message))
