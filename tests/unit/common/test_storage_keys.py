"""Keys hold ids only, and say whose object it is."""

from uuid import UUID

import pytest

from common.ids import JobId, LeaseToken
from common.storage_keys import (
    KINDS,
    PREFIXES,
    Place,
    archive_key,
    audio_key,
    checkpoint_key,
    checkpoint_prefix,
    job_prefixes,
    parse_key,
    source_key,
    transcript_key,
)

JOB = JobId(UUID("01a1fd10-175b-75f9-ad23-37f8b6f95c44"))
LEASE = LeaseToken(UUID("01a1fd10-175b-75f9-ad23-37f91fc3b378"))


def test_a_key_that_we_make_is_understood() -> None:
    """Parsing undoes making."""
    assert parse_key(source_key(JOB)) == Place("audio", JOB, None)
    assert parse_key(transcript_key(JOB, LEASE)) == Place("results", JOB, LEASE)
    assert parse_key(audio_key(JOB, LEASE)) == Place("results", JOB, LEASE)
    assert parse_key(checkpoint_key(JOB, "align")) == Place("checkpoints", JOB, None)
    assert parse_key(archive_key(JOB, "segment-mp3")) == Place("archives", JOB, None)


def test_everything_of_a_job_is_under_its_prefixes() -> None:
    """So that deleting the prefixes deletes the job's bytes, and no other job's."""
    prefixes = job_prefixes(JOB)
    keys = (source_key(JOB), transcript_key(JOB, LEASE), checkpoint_key(JOB, "align"), archive_key(JOB, "segment-mp3"))
    assert all(key.startswith(prefixes) for key in keys)
    assert tuple(f"{kind}/" for kind in KINDS) == PREFIXES
    assert all(prefix.endswith(f"/{JOB}.") for prefix in prefixes)
    assert checkpoint_prefix(JOB) in prefixes


@pytest.mark.parametrize(
    "key",
    [
        "",
        "audio",
        "audio/",
        f"audio/{JOB}",
        "audio/not-an-id.source",
        f"results/{JOB}.transcript.json",
        f"results/{JOB}.not-a-lease.transcript.json",
        f"results/{JOB}.{LEASE}.a.b.json",
        f"results/{JOB}/{LEASE}/transcript.json",
        f"backups/{JOB}.source",
    ],
)
def test_a_key_that_is_not_ours_is_not_understood(key: str) -> None:
    """What we cannot have made is left alone by whoever cleans up."""
    assert parse_key(key) is None
