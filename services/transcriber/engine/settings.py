"""What the engine child reads from its environment; the same names the transcriber's parent was started with."""

from typing import Annotated, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Unset means: chosen from the hardware (`hardware.choose`) and from what is bundled (`models.locate`)."""

    whisper_model_size: str | None = None
    whisper_device: Literal["auto", "cpu", "cuda"] = "auto"
    whisper_compute_type: str | None = None
    whisper_batch_size: Positive | None = None
    whisper_threads: Positive | None = None
    alignment: Literal["auto", "whisper", "ctc", "wav2vec2"] = "auto"
    hf_token: str | None = None
    verbatim_model_dir: str = ".verbatim/models"
    log_level: str = "info"
    log_format: str = "json"
