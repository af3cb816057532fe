"""Where things lie in the bucket. Keys hold only ids: no name that a user chose ever reaches one."""

from common.ids import JobId, LeaseToken

AUDIO = "audio/"
RESULTS = "results/"


def source_key(job_id: JobId) -> str:
    """The recording as it was submitted."""
    return f"{AUDIO}{job_id}/source"


def result_prefix(job_id: JobId) -> str:
    """Everything that any attempt stored for the job."""
    return f"{RESULTS}{job_id}/"


def transcript_key(job_id: JobId, lease: LeaseToken) -> str:
    """One attempt's transcript; the guarded finish decides which attempt's is the job's."""
    return f"{RESULTS}{job_id}/{lease}/transcript.json"
