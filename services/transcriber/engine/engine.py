"""One request from samples to transcript: find speech, hear it, place the words, lay out the lines."""

from common.transcript import Language, Note, Transcript
from services.transcriber import protocol
from services.transcriber.engine import lines, words
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.media import Audio
from services.transcriber.engine.recogniser import Recogniser
from services.transcriber.engine.speech import find_speech, whole
from services.transcriber.engine.stages import Stages

VAD_MODEL = "silero v6"

NO_SPEECH = Note("no_speech", "No speech was found in the recording.")
DAMAGED = Note("damaged_audio", "Parts of the recording could not be decoded and are missing; later times may be early by as much.")


class Engine:
    """Loaded models. One request at a time: the recogniser keeps state while it works."""

    def __init__(self, recogniser: Recogniser, hardware: Hardware, models: dict[str, str]) -> None:
        self._recogniser, self._hardware, self.models = recogniser, hardware, models

    def transcribe(self, audio: Audio, options: protocol.Options, stages: Stages) -> Transcript:
        """Raises `PermanentError` for options that the model cannot serve; anything else that fails is the engine's fault."""
        with stages.stage("vad") as progress:
            speech = find_speech(audio.samples, progress) if options.vad else whole(audio.samples)
        warnings = [DAMAGED] if audio.damaged else []
        if speech:
            with stages.stage("transcribe") as progress:
                heard = self._recogniser.hear(audio.samples, speech, options, self._hardware.batch_size, progress)
        else:
            heard = Heard((), options.language or "und", 1.0 if options.language else 0.0)
        with stages.stage("align"):
            placed = [word for chunk in heard.chunks for word in words.place(chunk, audio.samples)]
            segments = tuple(lines.segments(lines.lay_out(placed)))
        if not segments:
            warnings.append(NO_SPEECH)
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            language=Language(heard.language, round(heard.language_confidence, 4)),
            duration=round(audio.seconds, 3),
            segments=segments,
            speakers=(),
            models=self.models,
            timings=dict(stages.timings),
            warnings=tuple(warnings),
        )
