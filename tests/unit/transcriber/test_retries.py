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
    ],
)
def test_settings_that_cannot_work(environ: dict[str, str], complaint: str) -> None:
    """A service that would lose jobs by its settings does not start."""
    with pytest.raises(SettingsError, match=complaint):
        load(Settings, REQUIRED | environ)
