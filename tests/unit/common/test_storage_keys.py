"""Keys hold ids only, and say whose object it is."""

from uuid import UUID

import pytest

from common.ids import JobId, LeaseToken
from common.storage_keys import Place, audio_prefix, parse_key, result_prefix, source_key, transcript_key

JOB = JobId(UUID("01a1fd10-175b-75f9-ad23-37f8b6f95c44"))
LEASE = LeaseToken(UUID("01a1fd10-175b-75f9-ad23-37f91fc3b378"))


def test_a_key_that_we_make_is_understood() -> None:
    """Parsing undoes making."""
    assert parse_key(source_key(JOB)) == Place("audio", JOB, None)
    assert parse_key(transcript_key(JOB, LEASE)) == Place("results", JOB, LEASE)


def test_everything_of_a_job_is_under_its_prefixes() -> None:
    """So that deleting the two prefixes deletes the job's bytes, and no other job's."""
    assert source_key(JOB).startswith(audio_prefix(JOB))
    assert transcript_key(JOB, LEASE).startswith(result_prefix(JOB))
    assert audio_prefix(JOB).endswith("/")
    assert result_prefix(JOB).endswith("/")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "audio",
        "audio/",
        f"audio/{JOB}",
        "audio/not-an-id/source",
        f"results/{JOB}/transcript.json",
        f"results/{JOB}/not-a-lease/transcript.json",
        f"results/{JOB}/{LEASE}/a/b.json",
        f"backups/{JOB}/source",
    ],
)
def test_a_key_that_is_not_ours_is_not_understood(key: str) -> None:
    """What we cannot have made is left alone by whoever cleans up."""
    assert parse_key(key) is None
