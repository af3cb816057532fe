"""The earlier services' environment variables: those that mean something here do, and the others do no harm."""

import logging
from typing import Any

import msgspec
import pytest
import structlog

from common.logging import configure
from common.settings import load
from services.ingest.settings import Settings as Ingest
from services.janitor.settings import Settings as Janitor
from services.notifier.settings import Settings as Notifier
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.settings import Settings as Transcriber

REQUIRED = {
    "DATABASE_URL": "postgresql://localhost/x",
    "AMQP_URL": "amqp://localhost",
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
    "WEBHOOK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
WITHOUT_EFFECT = {
    "REDIS_HOST": "localhost",
    "REDIS_PORT": "6379",
    "REDIS_PASSWORD": "secret",
    "REDIS_URL": "redis://localhost:6379/0",
    "DATABASE_PATH": "./transcription_jobs.db",
    "AUDIO_STORAGE_PATH": "/app/audio_storage",
    "TEMP_AUDIO_DIR": "./temp_audio",
    "JOB_RESULTS_DIR": "/tmp/whisper-job-results",  # noqa: S108 - the document's own value
}
MEANT: list[tuple[type[msgspec.Struct], str, str, Any]] = [
    (EngineSettings, "WHISPER_MODEL_SIZE", "large-v3", "large-v3"),
    (EngineSettings, "WHISPER_DEVICE", "cuda", "cuda"),
    (EngineSettings, "HF_TOKEN", "hf_x", "hf_x"),
    (EngineSettings, "OPENAI_API_KEY", "sk-x", "sk-x"),
    (EngineSettings, "OPENAI_MODEL", "whisper-1", "whisper-1"),
    (Transcriber, "MAX_CONCURRENT_JOBS", "4", 4),
    (Notifier, "WEBHOOK_TIMEOUT", "30", 30.0),
    (Notifier, "WEBHOOK_MAX_RETRIES", "3", 3),
    (Notifier, "WEBHOOK_RETRY_DELAY", "5", 5.0),
    (Janitor, "AUDIO_RETENTION_HOURS", "24", 24.0),
    (Janitor, "CLEANUP_INTERVAL_MINUTES", "60", 60.0),
    (Ingest, "JOB_RESULT_RETENTION_SECONDS", "86400", 86_400),
]


@pytest.mark.parametrize("kind", [Ingest, Transcriber, EngineSettings, Notifier, Janitor])
def test_it_is_accepted(kind: type[msgspec.Struct]) -> None:
    """What has no meaning here changes nothing, and stops no service."""
    assert load(kind, REQUIRED | WITHOUT_EFFECT) == load(kind, REQUIRED)


@pytest.mark.parametrize(("kind", "name", "text", "value"), MEANT)
def test_it_has_its_meaning(kind: type[msgspec.Struct], name: str, text: str, value: Any) -> None:
    """The documents' own values are read under the documents' names."""
    assert getattr(load(kind, REQUIRED | {name: text}), name.lower()) == value


@pytest.mark.parametrize("style", ["json", "text"])
def test_logs_in_their_words(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`LOG_LEVEL=INFO` in capitals, and `LOG_FORMAT` as `json` or `text`."""
    before, level = logging.getLogger().handlers, logging.getLogger().level
    try:
        configure("test", level="INFO", style=style)
        logging.getLogger("x").info("a line")
    finally:
        logging.getLogger().handlers = before
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    assert capsys.readouterr().err.startswith("{") == (style == "json")
