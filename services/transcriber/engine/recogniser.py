"""WhisperX's batched pipeline, kept whole, with three things added at its own seams.

Speech is found beforehand (`speech`), so the pipeline's voice activity detector only hands it over. The language is decided on the
first batch's encoder output, weighted over its chunks, instead of encoding the first 30 seconds once more. Words get their times from
Whisper's cross-attention on the encoder output that transcription has just computed.

The pipeline keeps the state of the request it works on, so one recogniser serves one request at a time.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any, NamedTuple

from common.errors import PermanentError
from services.transcriber import protocol
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.heard import Chunk, Heard, HeardWord, Span
from services.transcriber.engine.imports import lean
from services.transcriber.engine.media import SAMPLE_RATE, Samples, waveform
from services.transcriber.engine.models import Whisper
from services.transcriber.engine.speech import CHUNK_SECONDS

with lean():
    import torch
    import whisperx.asr
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import merge_punctuations
    from whisperx.vads.vad import Vad

_ROUNDING = 0.001
"""WhisperX rounds the chunks it merges to milliseconds."""

FRAMES_PER_SECOND = 100
"""Of the log-mel spectrogram that Whisper hears."""

_FEWEST_FRAMES = 2
"""One step of Whisper's attention; alignment fails on less."""


class _Hearing:
    """The request being worked on: what is known before a batch, and what was found so far."""

    def __init__(self, options: protocol.Options) -> None:
        self.options = options
        self.frames: deque[int] = deque()
        self.words: list[list[HeardWord]] = []
        self.language: str | None = options.language
        self.confidence = 1.0


class Recogniser(whisperx.asr.FasterWhisperPipeline):  # type: ignore[misc]  # whisperx is untyped
    """Made by `load_recogniser`. `hear` is the way in; the rest is called by the pipeline."""

    options: Any
    tokenizer: Any

    def hear(
        self, samples: Samples, speech: list[Span], options: protocol.Options, batch_size: int, on_progress: Callable[[float], None]
    ) -> Heard:
        """Transcribe the `speech` in `samples` (not empty); `on_progress` gets fractions of 1.

        Raises `PermanentError` `unsupported_language`.
        """
        if options.language and options.language not in self.model.supported_languages:
            raise PermanentError("unsupported_language", f"The model does not know the language {options.language!r}.")
        self._now, self.vad_model, self.tokenizer = _Hearing(options), _KnownSpeech(speech), None
        defaults = self.options
        self.options = replace(
            defaults,
            beam_size=options.beam_size,
            temperatures=[options.temperature],
            initial_prompt=options.prompt,
            hotwords=options.hotwords,
        )
        try:
            segments = self.transcribe(
                samples,
                batch_size=batch_size,
                language=options.language,
                task=options.task,
                chunk_size=CHUNK_SECONDS,
                progress_callback=lambda percent: on_progress(percent / 100),
            )["segments"]
        finally:
            self.options = defaults
        spans = [Span(segment["start"], segment["end"]) for segment in segments]
        language = self._now.language or "en"
        chunks = (Chunk(span, _within(span, speech), tuple(words), language) for span, words in zip(spans, self._now.words, strict=True))
        return Heard(tuple(chunks), language, self._now.confidence)

    def detect_language(self, audio: Samples) -> str:  # noqa: ARG002 - the pipeline calls it with the recording
        """The pipeline asks before anything is encoded; `_forward` replaces this answer when the model knows several languages."""
        return "en"

    def preprocess(self, audio: dict[str, Samples]) -> Any:
        """One chunk's log-mel features; its true length is noted, as features are padded to 30 s."""
        self._now.frames.append(max(_FEWEST_FRAMES, len(audio["inputs"]) * FRAMES_PER_SECOND // SAMPLE_RATE))
        return super().preprocess({"inputs": waveform(audio["inputs"])})

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, list[Any]]:
        now, features = self._now, model_inputs["inputs"]
        frames = [now.frames.popleft() for _ in range(len(features))]
        encoded = self.model.encode(features)
        if now.language is None:
            self._decide_language(encoded, frames)
        results = self._generate(encoded, len(features))
        tokens = [[token for token in result.sequences_ids[0] if token < self.tokenizer.eot] for result in results]
        confidences = [_confidence(result, self.options.length_penalty) for result in results]
        if now.options.align:
            aligned = self.model.find_alignment(self.tokenizer, tokens, encoded, frames)
            now.words += [_words(found, self.options) for found in aligned]
        else:
            now.words += [self._plain_words(ids, confidence) for ids, confidence in zip(tokens, confidences, strict=True)]
        return {"text": self.tokenizer.tokenizer.decode_batch(tokens), "avg_logprob": confidences}

    def _decide_language(self, encoded: Any, frames: list[int]) -> None:
        """Each chunk votes with its length; the confidence is the winner's mean probability."""
        now = self._now
        if self.model.model.is_multilingual:
            votes: Counter[str] = Counter()
            for length, guesses in zip(frames, self.model.model.detect_language(encoded), strict=True):
                for token, probability in guesses:
                    votes[token] += probability * length
            token, weight = votes.most_common(1)[0]
            now.language, now.confidence = token.strip("<|>"), min(1.0, weight / max(1, sum(frames)))
            self.tokenizer = Tokenizer(self.model.hf_tokenizer, multilingual=True, task=now.options.task, language=now.language)
        else:
            now.language = "en"

    def _generate(self, encoded: Any, size: int) -> list[Any]:
        options = self.options
        previous = self.tokenizer.encode(" " + options.initial_prompt.strip()) if options.initial_prompt else []
        prompt = self.model.get_prompt(self.tokenizer, previous, without_timestamps=options.without_timestamps, hotwords=options.hotwords)
        temperature = options.temperatures[0]
        search = {"beam_size": options.beam_size, "patience": options.patience}
        sampling = {"beam_size": 1, "num_hypotheses": options.best_of, "sampling_topk": 0, "sampling_temperature": temperature}
        results: list[Any] = self.model.model.generate(
            encoded,
            [prompt] * size,
            length_penalty=options.length_penalty,
            max_length=self.model.max_length,
            suppress_blank=options.suppress_blank,
            suppress_tokens=options.suppress_tokens,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            repetition_penalty=options.repetition_penalty,
            return_scores=True,
            **(sampling if temperature > 0 else search),
        )
        return results

    def _plain_words(self, tokens: list[int], confidence: float) -> list[HeardWord]:
        texts, _ = self.tokenizer.split_to_word_tokens(tokens)
        found = [{"word": text, "tokens": [], "start": None, "end": None, "probability": confidence} for text in texts]
        return _words(found, self.options)


def load_recogniser(whisper: Whisper, hardware: Hardware, token: str | None) -> Recogniser:
    """Load the model with WhisperX's own defaults. Raises `PermanentError` `model_unusable`, with the library's reason."""
    torch.set_num_threads(hardware.threads)
    try:
        model = whisperx.asr.WhisperModel(
            whisper.source,
            device=hardware.device,
            compute_type=hardware.compute_type,
            cpu_threads=hardware.threads,
            download_root=whisper.cache,
            use_auth_token=token,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise PermanentError("model_unusable", f"Whisper {whisper.name} cannot be loaded on {hardware.device}: {error}") from error
    plain = whisperx.asr.load_model(whisper.name, hardware.device, hardware.compute_type, model=model, vad_model=_KnownSpeech([]))
    parameters = plain._vad_params  # noqa: SLF001 - WhisperX has no public way to ask for its defaults
    return Recogniser(model=model, vad=plain.vad_model, vad_params=parameters, options=plain.options)


class _Stretch(NamedTuple):
    start: float
    end: float
    speaker: str | None = None


class _KnownSpeech(Vad):  # type: ignore[misc]  # whisperx is untyped
    """A detector, for the pipeline, that has done its work already; chunks are merged by WhisperX's own `Vad.merge_chunks`."""

    def __init__(self, speech: list[Span]) -> None:
        self._speech = speech

    def __call__(self, audio: Any) -> list[_Stretch]:  # noqa: ARG002 - the pipeline calls it with the recording
        return [_Stretch(span.start, span.end) for span in self._speech]

    @staticmethod
    def preprocess_audio(audio: Samples) -> Samples:
        return audio


def _within(span: Span, speech: list[Span]) -> tuple[Span, ...]:
    first = bisect_left(speech, span.start - _ROUNDING, key=lambda each: each.start)
    last = bisect_right(speech, span.end + _ROUNDING, key=lambda each: each.end)
    return tuple(speech[first:last])


def _confidence(result: Any, length_penalty: float) -> float:
    """The geometric mean of the tokens' probabilities, the end token included (WhisperX's `avg_logprob`, as a probability)."""
    length = len(result.sequences_ids[0])
    return exp(min(0.0, result.scores[0] * length**length_penalty / (length + 1)))


def _words(found: list[dict[str, Any]], options: Any) -> list[HeardWord]:
    """Punctuation joins the word it belongs to, as in faster-whisper; a word's times stay those of its letters."""
    merge_punctuations(found, options.prepend_punctuations, options.append_punctuations)
    return [HeardWord(word["word"], float(word["probability"]), word["start"], word["end"]) for word in found if word["word"].strip()]
