"""Where things lie in the bucket. Keys hold only ids: no name that a user chose ever reaches one.

A prefix holds the objects of all jobs side by side, told apart by the id that their names begin with: a folder for each job would be one
more thing that a store keeps, and takes away, for every object (decision 0015).
"""

from typing import Literal, get_args
from uuid import UUID

import msgspec

from common.ids import JobId, LeaseToken

AUDIO = "audio/"
RESULTS = "results/"
CHECKPOINTS = "checkpoints/"
ARCHIVES = "archives/"
PREFIXES = (AUDIO, RESULTS, CHECKPOINTS, ARCHIVES)

Kind = Literal["audio", "results", "checkpoints", "archives"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What the prefixes hold, in the same order."""


class Place(msgspec.Struct, frozen=True):
    """What a key says: whose object it is and, for a result, the lease of the attempt that stored it."""

    kind: Kind
    job_id: JobId
    lease: LeaseToken | None


def job_prefixes(job_id: JobId) -> tuple[str, ...]:
    """Whatever was stored for the job lies under one of these, and nothing else does."""
    return tuple(job_prefix(prefix, job_id) for prefix in PREFIXES)


def job_prefix(prefix: str, job_id: JobId | str) -> str:
    """Under `prefix` (one of `PREFIXES`), with what the job's keys begin."""
    return f"{prefix}{job_id}."


def owner(key: str) -> str:
    """The id of the job whose object it is, if the key is one of ours."""
    return key.partition("/")[2].partition(".")[0]


def source_key(job_id: JobId) -> str:
    """The recording as it was submitted."""
    return f"{AUDIO}{job_id}.source"


def tail_key(job_id: JobId, lease: LeaseToken) -> str:
    """What a request has received of an upload beyond its last whole part; the upload's row says which request's it is."""
    return f"{AUDIO}{job_id}.tail-{lease}"


def transcript_key(job_id: JobId, lease: LeaseToken) -> str:
    """One attempt's transcript; the guarded finish decides which attempt's is the job's."""
    return f"{RESULTS}{job_id}.{lease}.transcript.json"


def audio_key(job_id: JobId, lease: LeaseToken) -> str:
    """One attempt's redacted copy of the recording."""
    return f"{RESULTS}{job_id}.{lease}.audio.mp3"


def copied_key(key: str, job_id: JobId, lease: LeaseToken) -> str:
    """Where a copy of another job's result lies as this job's own."""
    _, _, name = key.split(".", 2)
    return f"{RESULTS}{job_id}.{lease}.{name}"


def checkpoint_prefix(job_id: JobId) -> str:
    """What the job's attempts have done so far, for the next one to go on from."""
    return job_prefix(CHECKPOINTS, job_id)


def checkpoint_key(job_id: JobId, stage: str) -> str:
    """What one stage came to. Attempts share it: whoever reads it checks that it is what it would have come to itself."""
    return f"{CHECKPOINTS}{job_id}.{stage}.json"


def archive_key(job_id: JobId, variant: str) -> str:
    """The zip of the recording cut in one way; `variant` is a name of our own."""
    return f"{ARCHIVES}{job_id}.{variant}.zip"


def parse_key(key: str) -> Place | None:
    """The meaning of a key; None when it is not one of ours."""
    kind, _, name = key.partition("/")
    try:
        match kind, name.split("."):
            case "audio", [job_id, _]:
                return Place("audio", JobId(UUID(job_id)), None)
            case "checkpoints", [job_id, _, "json"]:
                return Place("checkpoints", JobId(UUID(job_id)), None)
            case "archives", [job_id, _, "zip"]:
                return Place("archives", JobId(UUID(job_id)), None)
            case "results", [job_id, lease, _, _]:
                return Place("results", JobId(UUID(job_id)), LeaseToken(UUID(lease)))
            case _:
                return None
    except ValueError:
        return None
