"""What ingest refuses to start with, each in a sentence that names the variable."""

import pytest

from common.settings import SettingsError, load
from services.ingest.settings import Settings

_NEEDED = {
    "DATABASE_URL": "postgresql://localhost/verbatim",
    "AMQP_URL": "amqp://localhost/verbatim",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AUTH", "maybe"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_QUEUED_JOBS", "0"),
        ("MAX_QUEUED_JOBS_PER_TENANT", "0"),
        ("RATE_LIMIT_PER_MINUTE", "-1"),
        ("UPLOAD_RETENTION_HOURS", "0"),
        ("URL_TIMEOUT_SECONDS", "0"),
        ("AUDIO_HOURS_PER_DAY", "-1"),
        ("AUDIO_HOURS_PER_MONTH", "-0.5"),
        ("CORS_ALLOW_ORIGINS", "app.example.com"),
        ("CORS_ALLOW_ORIGINS", "https://app.example.com/page"),
        ("URL_ALLOW_NETWORKS", "10.0.0.0/99"),
    ],
)
def test_what_cannot_be_is_named(name: str, text: str) -> None:
    """The variable's name is in the error."""
    with pytest.raises(SettingsError, match=name):
        load(Settings, _NEEDED | {name: text})


def test_no_authentication_only_on_loopback() -> None:
    """AUTH=off listens on loopback alone, however that is written."""
    with pytest.raises(SettingsError, match="AUTH=off"):
        load(Settings, _NEEDED | {"AUTH": "off", "HOST": "0.0.0.0"})
    for host in ("127.0.0.1", "::1", "localhost"):
        assert load(Settings, _NEEDED | {"AUTH": "off", "HOST": host}).host == host


def test_origins_of_pages() -> None:
    """Several origins, with ports, or all."""
    named = load(Settings, _NEEDED | {"CORS_ALLOW_ORIGINS": "https://app.example.com, http://localhost:5173"})
    assert named.cors_allow_origins == ("https://app.example.com", "http://localhost:5173")
    assert load(Settings, _NEEDED | {"CORS_ALLOW_ORIGINS": "*"}).cors_allow_origins == ("*",)
