"""Which pipelines may tell the speakers apart, best first: decided before anything heavy is imported."""

from services.transcriber.engine.settings import EngineSettings

BUNDLED = "bundled"
HUB = ("pyannote/speaker-diarization-community-1", "pyannote/speaker-diarization-3.1")
"""Gated: the hub hands them to whoever has accepted their conditions, known by `HF_TOKEN`."""


def sources(settings: EngineSettings) -> tuple[str, ...]:
    """`DIARIZATION_MODEL` by name is the only one; `auto` is the hub's pipelines, where there is a token for them, then the bundled one."""
    if settings.diarization_model != "auto":
        return (settings.diarization_model,)
    return (*HUB, BUNDLED) if settings.hf_token else (BUNDLED,)


def wants_hub(settings: EngineSettings) -> bool:
    """Whether one of them is to be fetched from the hub."""
    return any("/" in source and not source.startswith(("/", ".", "~")) for source in sources(settings))
