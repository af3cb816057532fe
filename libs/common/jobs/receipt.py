"""The receipt for what is deleted of a job. It is made of what the job's row says, not of what a sweep happened to delete.

So it is whole also when one sweep was killed in the middle and another finished its work. What no row names (archives, checkpoints,
losers' results) is deleted with the rest but cannot be listed: of what an earlier sweep found there, this one knows nothing. Of what the
row says is lost no deletion is certified. Nothing in a receipt is of a user's choosing.
"""

from datetime import datetime

from common.jobs.job import Deleted, Job, Reason, Receipt, Stored

RECORDING = "recording"
"""What was submitted, beside the names that a result has for its objects."""


def receipt(job: Job, reason: Reason, now: datetime) -> Receipt:
    """For all that the job had, the last of it gone `now`. Of one that has a receipt nothing was left: that one holds."""
    if job.receipt is not None:
        return job.receipt
    stored: dict[str, Stored | None] = {RECORDING: Stored(job.source.size, job.source.sha256)}
    if job.result is not None:
        stored |= {name: job.result.objects.get(name) for name in sorted(job.result.keys)}
    when = {RECORDING: job.audio_deleted_at or now} | dict.fromkeys(job.lost)
    objects = [_deleted(what, each, when.get(what, now)) for what, each in stored.items()]
    return Receipt(reason=reason, deleted_at=now, objects=objects)


def _deleted(what: str, stored: Stored | None, when: datetime | None) -> Deleted:
    if stored is None:  # by a version that did not keep count
        return Deleted(what=what, size=None, sha256=None, deleted_at=when, lost=when is None)
    return Deleted(what=what, size=stored.size, sha256=stored.sha256, deleted_at=when, lost=when is None)
