"""The receipt for what is deleted of a job. It is made of what the job's row says, not of what a sweep happened to delete.

So it is whole also when one sweep was killed in the middle and another finished its work. Nothing in it is of a user's choosing.
"""

from datetime import datetime

from common.jobs.job import Deleted, Job, Reason, Receipt, Stored

RECORDING = "recording"
"""What was submitted, beside the names that a result has for its objects."""


def receipt(job: Job, reason: Reason, now: datetime) -> Receipt:
    """For all that the job had, the last of it gone `now`. Of one that has a receipt nothing was left: that one holds."""
    if job.receipt is not None:
        return job.receipt
    recording = Stored(job.source.size, job.source.sha256)
    objects = [_deleted(RECORDING, recording, job.audio_deleted_at or now)]
    if job.result is not None:
        objects += [_deleted(name, job.result.objects.get(name), now) for name in sorted(job.result.keys)]
    return Receipt(reason=reason, deleted_at=now, objects=objects)


def _deleted(what: str, stored: Stored | None, when: datetime) -> Deleted:
    if stored is None:  # by a version that did not keep count
        return Deleted(what=what, size=None, sha256=None, deleted_at=when)
    return Deleted(what=what, size=stored.size, sha256=stored.sha256, deleted_at=when)
