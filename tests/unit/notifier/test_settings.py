"""What the notifier refuses to start with."""

import base64
from datetime import timedelta

import pytest

from common.settings import SettingsError, load
from services.notifier.schedule import DEFAULT
from services.notifier.settings import Settings

SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()
SHARED = {"DATABASE_URL": "postgresql:///v", "AMQP_URL": "amqp:///", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
GOOD = {**SHARED, "WEBHOOK_SECRETS": SECRET}


def test_defaults() -> None:
    """Only the secrets must be given."""
    settings = load(Settings, GOOD)
    assert settings.timeout == timedelta(seconds=30)
    assert settings.schedule.delays == DEFAULT
    assert (settings.webhook_concurrency, settings.bounds.width) == (256, 4)
    assert settings.webhook_max_result_bytes == 2**20
    assert settings.timeout < settings.bounds.webhook < settings.bounds.upload
    assert settings.webhook_allow_networks == ()


def test_everything_set() -> None:
    """Each variable is read in its own form."""
    settings = load(
        Settings,
        {
            **GOOD,
            "WEBHOOK_SECRETS": f"{SECRET}, {SECRET}",
            "WEBHOOK_TIMEOUT": "2.5",
            "WEBHOOK_MAX_RETRIES": "2",
            "WEBHOOK_RETRY_DELAY": "0.5",
            "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8, ::1/128",
            "WEBHOOK_CONCURRENCY": "3",
        },
    )
    assert settings.webhook_secrets == (SECRET, SECRET)
    assert (settings.timeout, settings.bounds.places) == (timedelta(seconds=2.5), 3)
    assert settings.schedule.delays == (timedelta(seconds=0.5),) * 2
    assert [str(network) for network in settings.webhook_allow_networks] == ["127.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"WEBHOOK_SECRETS": ""}, "WEBHOOK_SECRETS is not set"),
        ({"WEBHOOK_SECRETS": ","}, "WEBHOOK_SECRETS holds no secret"),
        ({"WEBHOOK_SECRETS": "hunter2"}, "secret 1 in WEBHOOK_SECRETS is not whsec_"),
        ({"WEBHOOK_TIMEOUT": "0"}, "WEBHOOK_TIMEOUT must be"),
        ({"WEBHOOK_TIMEOUT": "nan"}, "WEBHOOK_TIMEOUT"),
        ({"WEBHOOK_TIMEOUT": "soon"}, "WEBHOOK_TIMEOUT is not valid"),
        ({"WEBHOOK_MAX_RETRIES": "-1"}, "WEBHOOK_MAX_RETRIES must be"),
        ({"WEBHOOK_RETRY_DELAY": "-1"}, "WEBHOOK_RETRY_DELAY must be"),
        ({"WEBHOOK_CONCURRENCY": "2"}, "WEBHOOK_CONCURRENCY must be between 3 and"),
        ({"WEBHOOK_CONCURRENCY_PER_ENDPOINT": "0"}, "WEBHOOK_CONCURRENCY_PER_ENDPOINT must be"),
        ({"WEBHOOK_MAX_RESULT_BYTES": "-1"}, "WEBHOOK_MAX_RESULT_BYTES must be"),
        ({"WEBHOOK_MAX_RESULT_BYTES": "100000000"}, "WEBHOOK_MAX_RESULT_BYTES must be"),
        ({"WEBHOOK_ALLOW_NETWORKS": "localhost"}, "WEBHOOK_ALLOW_NETWORKS is not valid"),
        ({"WEBHOOK_ALLOW_NETWORKS": "10.0.0.1/8"}, "WEBHOOK_ALLOW_NETWORKS is not valid"),
    ],
)
def test_refused(changed: dict[str, str], sentence: str) -> None:
    """A bad value is refused at the start, by its name, and no secret is shown."""
    with pytest.raises(SettingsError) as refused:
        load(Settings, {**GOOD, **changed})
    assert sentence in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "hunter2" not in str(refused.value)
