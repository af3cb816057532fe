"""How long a job waits before it is tried again, and settings that contradict each other."""

import pytest

from common.settings import SettingsError, load
from services.transcriber.attempt import delay_before
from services.transcriber.settings import Settings

REQUIRED = {"DATABASE_URL": "postgresql://d", "AMQP_URL": "amqp://a", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}


def test_delays_double_up_to_five_minutes() -> None:
    """Within a quarter of jitter: 5, 10, 20 s … 300 s."""
    for attempt, seconds in {2: 5, 3: 10, 4: 20, 5: 40, 20: 300, 200: 300}.items():
        assert 0.75 * seconds <= delay_before(attempt).total_seconds() <= 1.25 * seconds


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"LEASE_SECONDS": "10", "HEARTBEAT_SECONDS": "5"}, "LEASE_SECONDS must be more than 3 x HEARTBEAT_SECONDS"),
        ({"JOB_TIME_LIMIT_SECONDS": "1800"}, "must be less than CONSUMER_TIMEOUT_SECONDS"),
        ({"MAX_CONCURRENT_JOBS": "0"}, "MAX_CONCURRENT_JOBS"),
        ({"SHORT_JOBS_TOGETHER": "0"}, "SHORT_JOBS_TOGETHER"),
        ({"DECODE_TIME_LIMIT_SECONDS": "0"}, "DECODE_TIME_LIMIT_SECONDS"),
        ({"STAGE_TIME_LIMIT_RATIO": "-1"}, "STAGE_TIME_LIMIT_RATIO"),
        ({"ENGINE_MEMORY_LIMIT_MB": "0"}, "ENGINE_MEMORY_LIMIT_MB"),
        ({"STAGE_MEMORY_LIMITS_MB": "diarize=0"}, "STAGE_MEMORY_LIMITS_MB must be at least 1"),
        ({"STAGE_MEMORY_LIMITS_MB": "diarize=4000", "ENGINE_MEMORY_LIMIT_MB": "3000"}, "at most ENGINE_MEMORY_LIMIT_MB"),
        ({"STAGE_MEMORY_LIMITS_MB": "decode=4000"}, "DECODE_MEMORY_LIMIT_MB"),
        ({"STAGE_MEMORY_LIMITS_MB": "dairize=4000"}, "Invalid enum value 'dairize'"),
    ],
)
def test_settings_that_cannot_work(environ: dict[str, str], complaint: str) -> None:
    """A service that would lose jobs by its settings does not start."""
    with pytest.raises(SettingsError, match=complaint):
        load(Settings, REQUIRED | environ)


def test_a_stages_memory_is_set_in_megabytes() -> None:
    """By its name, in a list."""
    settings = load(Settings, REQUIRED | {"STAGE_MEMORY_LIMITS_MB": "transcribe=6000, diarize=4000", "ENGINE_MEMORY_LIMIT_MB": "7000"})
    limits = settings.limits
    assert [limits.bytes(stage) for stage in ("transcribe", "diarize", "align")] == [size * 2**20 for size in (6000, 4000, 7000)]
