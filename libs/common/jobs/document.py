"""The public document of a job: the one that polling, webhooks and the broker's events show alike.

It holds no secret, internal host or path: storage is named by bucket and key only, and URLs that the submitter gave stay out of it.
"""

from datetime import datetime

import msgspec

from common.jobs.job import TRANSCRIPT, Cache, Failure, Job, Receipt, Status, Stored, Upload
from common.jobs.kind import Kind
from common.jobs.options import PRIORITIES, Options, Priority
from common.jobs.receipt import RECORDING


class ResultDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Where the documents of a completed job are, and what they were when they were stored; `duration` in seconds.

    They are kept until `expires_at` at least. They go when the server next cleans up after that, which may be minutes later; from then on
    they are answered with 410.
    """

    available: bool
    expires_at: datetime | None
    bucket: str
    keys: dict[str, str]
    objects: dict[str, Stored]
    language: str
    duration: float
    speakers: int


class SourceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The submitted recording; `duration` in seconds, estimated from size and type until the recording has been decoded.

    `content_type` is the container's. `kind` is that too, as far as its first bytes tell, until the recording has been decoded: many
    containers for video may hold sound alone. `deleted_at`: when it went, if it went before the rest.
    """

    filename: str
    content_type: str
    size: int
    sha256: str
    kind: Kind
    duration: float | None
    duration_estimated: bool
    deleted_at: datetime | None


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A job as clients see it; `progress` in percent, times in RFC 3339 UTC.

    `revision` grows with each change of status, stage, progress, attempt or error: events come in no promised order, and of two the
    one with the higher revision tells the later state.

    `cache` says whether an earlier job's result was taken (`hit`), where that was asked for; `upload` what came of the upload of its
    result, where there is a URL for that and a result.
    `lost` names what the store should have of the job and has not: `recording`, or one of the result's keys.
    `receipt` tells of a job that has expired, and in `job.deleted`, what was deleted and when.
    `position` (1 is next) and `eta` (of its completion) are the API's to tell, of queued jobs: both are null in events.
    """

    id: str
    revision: int
    status: Status
    stage: str | None
    progress: float
    position: int | None
    eta: datetime | None
    attempt: int
    priority: Priority
    source: SourceDocument
    options: Options
    error: Failure | None
    result: ResultDocument | None
    cache: Cache | None
    upload: Upload | None
    lost: list[str]
    receipt: Receipt | None
    trace_id: str | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


def public(job: Job, *, position: int | None = None, eta: datetime | None = None) -> JobDocument:
    """What may be shown of `job`."""
    identity = str(job.id)
    own = f"/api/v1/jobs/{identity}"
    return JobDocument(
        id=identity,
        revision=job.revision,
        status=job.status,
        stage=job.stage,
        progress=round(job.progress, 1),
        position=position,
        eta=eta,
        attempt=job.attempt,
        priority=PRIORITIES[job.priority],
        source=_source(job),
        options=_options(job.options),
        error=job.error,
        result=_result(job),
        cache=job.cache,
        upload=_upload(job),
        lost=list(job.lost),
        receipt=job.receipt,
        trace_id=None if job.trace is None else job.trace.split("-")[1],
        created_at=job.created_at,
        queued_at=job.queued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        links={"self": own, "transcript": f"{own}/transcript"},
    )


def _options(options: Options) -> Options:
    if options.webhook_url is None and options.upload_presigned_url is None:
        return options
    return msgspec.structs.replace(options, webhook_url=None, upload_presigned_url=None)


def _source(job: Job) -> SourceDocument:
    found = job.source
    return SourceDocument(
        filename=found.filename,
        content_type=found.content_type,
        size=found.size,
        sha256=found.sha256,
        kind=found.kind,
        duration=None if job.duration is None else round(job.duration, 2),
        duration_estimated=not job.duration_known,
        deleted_at=None if RECORDING in job.lost else job.audio_deleted_at,
    )


def _upload(job: Job) -> Upload | None:
    """Only what has a result can be uploaded."""
    if job.options.upload_presigned_url is None or job.status in {Status.FAILED, Status.CANCELLED}:
        return None
    return job.upload or Upload(state="pending")


def _result(job: Job) -> ResultDocument | None:
    if job.result is None:
        return None
    found = job.result
    return ResultDocument(
        available=job.status is Status.COMPLETED and TRANSCRIPT not in job.lost,
        expires_at=job.expires_at,
        bucket=found.bucket,
        keys=found.keys,
        objects=found.objects,
        language=found.language,
        duration=found.duration,
        speakers=found.speakers,
    )
