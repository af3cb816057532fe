"""Where things lie in the bucket. Keys hold only ids: no name that a user chose ever reaches one."""

from typing import Literal
from uuid import UUID

import msgspec

from common.ids import JobId, LeaseToken

AUDIO = "audio/"
RESULTS = "results/"
PREFIXES = (AUDIO, RESULTS)


class Place(msgspec.Struct, frozen=True):
    """What a key says: whose object it is and, for a result, the lease of the attempt that stored it."""

    kind: Literal["audio", "results"]
    job_id: JobId
    lease: LeaseToken | None


def audio_prefix(job_id: JobId) -> str:
    """Everything that was submitted for the job."""
    return f"{AUDIO}{job_id}/"


def source_key(job_id: JobId) -> str:
    """The recording as it was submitted."""
    return f"{AUDIO}{job_id}/source"


def result_prefix(job_id: JobId) -> str:
    """Everything that any attempt stored for the job."""
    return f"{RESULTS}{job_id}/"


def transcript_key(job_id: JobId, lease: LeaseToken) -> str:
    """One attempt's transcript; the guarded finish decides which attempt's is the job's."""
    return f"{RESULTS}{job_id}/{lease}/transcript.json"


def parse_key(key: str) -> Place | None:
    """The meaning of a key; None when it is not one of ours."""
    try:
        match key.split("/"):
            case ["audio", job_id, _]:
                return Place("audio", JobId(UUID(job_id)), None)
            case ["results", job_id, lease, _]:
                return Place("results", JobId(UUID(job_id)), LeaseToken(UUID(lease)))
            case _:
                return None
    except ValueError:
        return None
