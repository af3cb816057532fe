"""Rules between the engine's settings."""

import pytest

from common.settings import SettingsError, load
from services.transcriber.engine.settings import EngineSettings


def test_a_server_needs_a_key_or_an_address() -> None:
    """OpenAI's own asks for a key; one's own may not."""
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        load(EngineSettings, {"ENGINE": "openai"})
    assert load(EngineSettings, {"ENGINE": "openai", "OPENAI_API_KEY": "sk-1"}).openai_base_url is None
    assert load(EngineSettings, {"ENGINE": "openai", "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}).openai_api_key == ""
