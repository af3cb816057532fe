"""What the engine child reads from its environment; the same names the transcriber's parent was started with."""

from typing import Annotated, Literal

import msgspec

from common.settings import Url
from services.transcriber.limits import DECODE_MEGABYTES, DECODE_SECONDS

Positive = Annotated[int, msgspec.Meta(ge=1)]


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Unset means: chosen from the hardware (`hardware.choose`) and from what is bundled (`models.locate`).

    `whisper_models` are offered beside the default one; together they take at most `models_memory_mb`, unless one alone takes more.
    What a stage came to is kept for a later attempt when it took `checkpoint_least_seconds`. The decoder has its limits to itself.
    """

    engine: Literal["whisperx", "openai"] = "whisperx"
    openai_base_url: Url | None = None
    openai_api_key: str = ""
    openai_model: str = "whisper-1"
    openai_max_upload_mb: Annotated[float, msgspec.Meta(gt=0)] = 25
    openai_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300
    openai_parallel: Positive = 4
    whisper_model_size: str | None = None
    whisper_models: tuple[str, ...] = ()
    models_memory_mb: Positive | None = None
    model_idle_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    whisper_device: Literal["auto", "cpu", "cuda"] = "auto"
    whisper_compute_type: str | None = None
    whisper_batch_size: Positive | None = None
    whisper_threads: Positive | None = None
    whisper_workers: Positive | None = None
    alignment: Literal["auto", "whisper", "ctc", "wav2vec2"] = "auto"
    hf_token: str | None = None
    diarization_model: str = "auto"
    verbatim_model_dir: str = ".verbatim/models"
    checkpoint_least_seconds: Annotated[float, msgspec.Meta(ge=0)] = 5
    decode_time_limit_seconds: Annotated[float, msgspec.Meta(gt=0)] = DECODE_SECONDS
    decode_memory_limit_mb: Annotated[int, msgspec.Meta(ge=64)] = DECODE_MEGABYTES
    log_level: str = "info"
    log_format: str = "json"

    def __post_init__(self) -> None:
        if self.engine == "openai" and not self.openai_api_key and self.openai_base_url is None:
            raise ValueError("ENGINE=openai needs OPENAI_API_KEY, or OPENAI_BASE_URL of a server that asks for no key")
