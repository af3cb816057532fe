"""A request in three steps: find speech, hear it, finish.

Only hearing is done for several recordings at once, because only there does a shared batch pay. Before and after it each recording is on
its own: what it meets there (words placed in time, lines) concerns nobody else, and may be done beside the hearing of others.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Protocol

import msgspec

from common.errors import TransientError
from common.transcript import Language, Note, Segment, Transcript
from services.transcriber import protocol
from services.transcriber.engine import channels, guards, lines, speakers
from services.transcriber.engine.alignment.alignment import Alignment, Placed
from services.transcriber.engine.diarization.speech_turns import SpeechTurns, Told
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.heard import Heard, Span
from services.transcriber.engine.media import Audio
from services.transcriber.engine.postprocess.redaction import with_unheard
from services.transcriber.engine.postprocess.steps import PostProcessing
from services.transcriber.engine.quality import assess, in_recording, unheard
from services.transcriber.engine.recording import Recording, Task, unshown
from services.transcriber.engine.speech import Tuning, find_speech, whole

log = logging.getLogger(__name__)

VAD_MODEL = "silero v6"

QUALITY_UNKNOWN = Note("quality_failed", "The transcript's quality could not be assessed.")
NO_SPEECH = Note("no_speech", "No speech was found in the recording.")
BY_CHANNEL = Note("speakers_by_channel", "Speakers are told apart by channel, so each channel was taken for one speaker.")
DAMAGED = Note("damaged_audio", "Parts of the recording could not be decoded and are missing; later times may be early by as much.")


class Recogniser(Protocol):
    """Who hears: Whisper in this process, or a server elsewhere."""

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        """Transcribe several recordings whose options differ in nothing that matters here but the language.

        Raises `VerbatimError` for what cannot be heard so, such as a language that the model does not know.
        """
        ...


class Engine:
    """Each step may be taken in a thread of its own, for one call at a time.

    Each step raises `PermanentError` for options that no model can serve; anything else that fails is the engine's fault.
    """

    def __init__(
        self, recogniser: Recogniser, alignment: Alignment, speech_turns: SpeechTurns, hardware: Hardware, models: dict[str, str]
    ) -> None:
        self._recogniser, self._alignment, self._speech_turns = recogniser, alignment, speech_turns
        self.hardware, self.models = hardware, models
        self._after = PostProcessing()

    def find_speech(self, audio: Audio, options: protocol.Options, on_progress: Callable[[float], None]) -> tuple[Span, ...]:
        """The first step; `on_progress` gets fractions of 1."""
        if options.diarize and audio.tape is None:
            self._speech_turns.prepare()
        if not options.vad:
            return tuple(whole(audio))
        return tuple(find_speech(audio.samples, on_progress, _tuning(options)))

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        """The second: what is said in each."""
        known = [each.stages.earlier("transcribe", Heard) if each.speech else _nothing(each.options) for each in recordings]
        waiting = [recording for recording, heard in zip(recordings, known, strict=True) if heard is None]
        found = iter(self._hear(waiting) if waiting else ())
        return [heard or next(found) for heard in known]

    def finish(self, recording: Recording, heard: Heard) -> Transcript:
        """The third: from what was heard to the transcript."""
        if heard.lost and (recording.options.strict or not heard.chunks):
            which = "part" if heard.chunks else "every part"
            raise TransientError("engine_failed", f"The engine failed on {which} of the recording.")
        placed = self._place(recording, heard)
        told = self._tell_apart(recording)
        words, turns = speakers.attribute(placed.words, told.turns)
        segments = tuple(lines.segments(lines.lay_out(words), heard.language))
        if (tape := recording.audio.tape) is not None:
            segments = channels.unroll(segments, tape)
            turns = channels.turns(segments)
        transcript = Transcript(
            text=" ".join(segment.text for segment in segments),
            language=_language(heard, segments, recording.options),
            duration=round(recording.audio.seconds, 3),
            segments=segments,
            speakers=speakers.seconds(turns),
            models=self.models
            | _also("asr", heard.model)
            | _also("alignment", ", ".join(placed.aligners))
            | _also("diarization", told.model),
            timings={},
            degradations=(*heard.notes, *placed.notes, *told.degradations),
            warnings=_warnings(recording, heard, segments),
            audio_track=recording.audio.track,
        )
        with recording.stages.stage("postprocess") as progress:
            stretches = channels.by_channel((chunk.span for chunk in heard.chunks), tape)
            processed = self._after.process(_assessed(transcript, recording, heard), recording.options, progress, stretches)
            if recording.options.redact:
                silences = with_unheard(processed.redactions, _not_understood(recording, heard, segments, progress))
                processed = msgspec.structs.replace(processed, redactions=tuple(silences))
        return msgspec.structs.replace(processed, timings=dict(recording.stages.timings))

    def _hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        with ExitStack() as stack:
            together, stay = len(recordings), partial(_stay, recordings)
            listening = [stack.enter_context(each.stages.stage("transcribe", together=together)) for each in recordings]
            tasks = [
                Task(each.audio.samples, each.speech, each.options, _while_wanted(stay, progress), _shown(each), stay)
                for each, progress in zip(recordings, listening, strict=True)
            ]
            found = self._recogniser.hear(tasks, self.hardware.batch_size)
        for recording, heard in zip(recordings, found, strict=True):
            if not heard.lost:  # a later attempt may do better
                recording.stages.keep("transcribe", heard)
        return found

    def _place(self, recording: Recording, heard: Heard) -> Placed:
        """What was translated is not what is said: only the words of a transcript can be aligned."""
        options = recording.options
        alignment = self._alignment if options.align and options.task == "transcribe" else Alignment(())

        def place(progress: Callable[[float], None]) -> Placed:
            return alignment.place(heard, recording.audio.samples, progress)

        return recording.stages.once("align", Placed, place, made_of=heard.chunks)

    def _tell_apart(self, recording: Recording) -> Told:
        """Speakers by their voices; where channels are speakers, or nobody speaks, there is nothing to tell."""
        wanted = recording.options.diarize and recording.speech and recording.audio.tape is None
        return self._speech_turns.tell(recording) if wanted else Told()


def _stay(recordings: Sequence[Recording]) -> None:
    """One that is cancelled ends the hearing only when nobody else is heard with it."""
    if all(recording.stages.cancelled() for recording in recordings):
        raise Cancelled


def _while_wanted(stay: Callable[[], None], progress: Callable[[float], None]) -> Callable[[float], None]:
    def report(fraction: float) -> None:
        with suppress(Cancelled):
            progress(fraction)
        stay()

    return report


def _shown(recording: Recording) -> Callable[[Span, str], None]:
    """Tells what is heard while the rest still is, unless some of it is to be redacted or masked, which is done last."""

    def show(span: Span, text: str) -> None:
        if text:
            recording.stages.heard(channels.partial(span, text, recording.audio.tape))

    return unshown if recording.options.redact or recording.options.mask_profanity else show


def _nothing(options: protocol.Options) -> Heard:
    return Heard((), options.language or "und", 1.0 if options.language else 0.0)


def _language(heard: Heard, segments: Sequence[Segment], options: protocol.Options) -> Language:
    """Where nobody says anything there is none, whatever was made of the noise; but who names one is believed."""
    if segments or options.language:
        return Language(heard.language, round(heard.language_confidence, 4))
    return Language("und", 0.0)


def _tuning(options: protocol.Options) -> Tuning:
    return Tuning(options.vad_threshold, options.vad_min_silence, options.vad_padding)


def _not_understood(recording: Recording, heard: Heard, segments: Sequence[Segment], progress: Callable[[float], None]) -> Iterator[Span]:
    """Where somebody may say something that is not in the text, in the recording's times.

    Speech without words is looked for with the usual detector too, whatever the options make of it.
    """
    tape, options = recording.audio.tape, recording.options
    yield from in_recording((*heard.lost, *heard.refused, *heard.invented, *heard.looped, *heard.foreign), tape)
    if options.vad:
        yield from unheard(recording.speech, segments, tape)
    if not options.vad or _tuning(options) != Tuning():
        yield from unheard(find_speech(recording.audio.samples, progress), segments, tape)


def _also(part: str, name: str | None) -> dict[str, str]:
    return {part: name} if name else {}


def _assessed(transcript: Transcript, recording: Recording, heard: Heard) -> Transcript:
    """With the report on its quality. One that cannot be made is no reason to give nothing."""
    try:
        speech = recording.speech if recording.options.vad else None
        segments = _as_spoken(transcript.segments, recording.options)
        quality = assess(recording.audio, speech, segments, transcript.language.code, heard.foreign)
    except Exception:
        log.exception("quality was not assessed")
        return msgspec.structs.replace(transcript, degradations=(*transcript.degradations, QUALITY_UNKNOWN))
    return msgspec.structs.replace(transcript, quality=quality)


def _as_spoken(segments: Sequence[Segment], options: protocol.Options) -> Sequence[Segment]:
    """What was translated is in English for its reader, and was said in the recording's language."""
    return segments if options.task == "transcribe" else [msgspec.structs.replace(segment, language=None) for segment in segments]


def _warnings(recording: Recording, heard: Heard, segments: Sequence[Segment]) -> tuple[Note, ...]:
    audio = recording.audio
    damaged = (DAMAGED,) if audio.damaged else ()
    by_channel = (BY_CHANNEL,) if audio.tape is not None and recording.options.diarize else ()
    guarded = (
        *guards.told("part_lost", "Parts could not be transcribed and were left out", heard.lost, audio.tape),
        *guards.told("invented_text", "Text was dropped that nobody said, over silence or noise", heard.invented, audio.tape),
        *guards.told("repetition", "Text that went round in circles was cut down to one turn", heard.looped, audio.tape),
        *guards.told("other_language", "It sounds like another language than was asked for", heard.foreign, audio.tape),
    )
    return (*damaged, *audio.notes, *by_channel, *guarded, *(() if segments else (NO_SPEECH,)))
