"""Hearing speech with Whisper: chunks of one or several recordings, in shared batches.

WhisperX's batched pipeline serves one recording, pads every chunk to 30 seconds and knows one language at a time. Its parts are used here
(the model with its defaults, the features, the merging of speech into chunks), its loop is not: a batch holds chunks of one window
(`windows`) whatever recording they are from, each is prompted in its own language, and words get their times from Whisper's cross-attention
on the encoder output that transcription has just computed.

Every chunk is heard once, and some once more: those that could not be heard, and those whose text goes round in circles in a short window,
in the longest one; and those heard in a language which the rest of the recording then spoke against (`languages`).
"""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp
from typing import Any, NamedTuple

import numpy as np

from common.errors import PermanentError, TransientError
from common.transcript import Note
from services.transcriber import memory, protocol
from services.transcriber.engine import failures, guards, windows
from services.transcriber.engine.abreast import Abreast
from services.transcriber.engine.batches import Batches
from services.transcriber.engine.hardware import Hardware, gpu_memory_free
from services.transcriber.engine.heard import Heard, HeardWord
from services.transcriber.engine.imports import lean
from services.transcriber.engine.listening import Listener, Piece
from services.transcriber.engine.media import SAMPLE_RATE, waveform
from services.transcriber.engine.models import Whisper
from services.transcriber.engine.recording import Task
from services.transcriber.engine.repetition import looping
from services.transcriber.engine.widths import Widths

with lean():
    import ctranslate2
    import torch
    import whisperx.asr
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import merge_punctuations
    from whisperx.audio import log_mel_spectrogram
    from whisperx.vads.vad import Vad

ON_CPU = Note("on_cpu", "The GPU's memory was short, so the recording was transcribed on the CPU, which took longer.")
SMALLER_COMPUTE_TYPE = Note("smaller_compute_type", "Memory was short, so the model was used with coarser numbers; a word may differ.")

log = logging.getLogger(__name__)


class Recogniser:
    """A loaded model. Between calls it keeps only how wide its batches should be, and how many abreast; it serves one call at a time."""

    def __init__(self, model: Any, defaults: Any, widths: Widths, abreast: Abreast, *, most_seconds: int | None = None) -> None:
        self._model, self._defaults, self._widths, self._abreast = model, defaults, widths, abreast
        self._most_seconds = most_seconds
        self._tokenizers: dict[tuple[str, str], Any] = {}

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        """Transcribe what several recordings hold, whose options differ in nothing that matters here but the language.

        Raises `PermanentError` `unsupported_language` when one of them asks for what the model does not know.
        """
        listeners = [Listener(task, self._languages(task.options)) for task in tasks]
        options = self._transcription_options(tasks[0].options)
        self._hear([piece for listener in listeners for piece in listener.pieces], options, batch_size)
        self._hear([piece for listener in listeners for piece in listener.to_hear_again()], options, batch_size)
        return [listener.heard() for listener in listeners]

    def _languages(self, options: protocol.Options) -> tuple[str, ...]:
        """Those that the recording may be in; none named means any."""
        if not self._model.model.is_multilingual:
            wanted: tuple[str, ...] = (options.language or "en",)
        else:
            wanted = (options.language,) if options.language else options.allowed_languages
        possible = tuple(code for code in wanted if self._knows(code))
        if wanted and not possible:
            raise PermanentError("unsupported_language", f"The model does not know the language {', '.join(map(repr, wanted))}.")
        return possible

    def _knows(self, language: str) -> bool:
        """faster-whisper lists what any Whisper knows; some have no token for the later ones."""
        listed = language in self._model.supported_languages
        return listed and (not self._model.model.is_multilingual or self._model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None)

    def _transcription_options(self, options: protocol.Options) -> Any:
        return replace(
            self._defaults,
            beam_size=options.beam_size,
            temperatures=[options.temperature],
            initial_prompt=options.prompt,
            hotwords=options.hotwords,
        )

    def _hear(self, pieces: Sequence[Piece], options: Any, batch_size: int) -> None:
        batches = Batches()

        def hear(batch: Sequence[Piece]) -> None:
            encoded = self._model.encode(torch.stack([self._features(piece) for piece in batch]))
            batch[0].listener.task.stay()
            self._guess(encoded, batch)
            self._transcribe(encoded, batch, options)

        def work(batch: Sequence[Piece]) -> _Worked:
            began = time.monotonic()
            lost = batches.work(batch, hear)
            return _Worked(lost, time.monotonic() - began)

        def heard(batch: Sequence[Piece], worked: _Worked) -> None:
            for piece, error in worked.lost:
                log.error("%.3f-%.3f s cannot be transcribed", piece.span.start, piece.span.end, exc_info=error)
                piece.lost = not piece.language
            if batches.most is None:
                self._widths.worked(batch[0].window, len(batch), worked.seconds)
            else:
                self._widths.short(batch[0].window, batches.most)
            for piece in batch:
                piece.narrowed |= batches.most is not None
            for listener in _listeners(batch):
                listener.report()
            for piece in batch:
                piece.show()

        def width(window: int) -> int:
            found = self._widths.of(window, batch_size)
            return found if self._most_seconds is None else min(found, max(1, self._most_seconds // window))

        self._abreast.work(windows.batches(pieces, width), work, heard)

    def _features(self, piece: Piece) -> Any:
        samples = waveform(piece.samples)
        bands = self._model.feat_kwargs.get("feature_size") or 80
        return log_mel_spectrogram(samples, n_mels=bands, padding=piece.window * SAMPLE_RATE - len(samples))

    def _guess(self, encoded: Any, batch: Sequence[Piece]) -> None:
        rows = [row for row, piece in enumerate(batch) if piece.to_guess]
        if not rows or not self._model.model.is_multilingual:
            return
        for row, guesses in zip(rows, self._model.model.detect_language(_rows(encoded, rows)), strict=True):
            batch[row].sounds({token.strip("<|>"): float(probability) for token, probability in guesses})

    def _transcribe(self, encoded: Any, batch: Sequence[Piece], options: Any) -> None:
        """Each piece in the language that the recording's guesses so far give it; whatever fails on the way leaves all as they were."""
        languages: dict[Piece, str] = {}
        for listener in _listeners(batch):
            languages |= listener.languages()
        tokenizers = [self._tokenizer(languages[piece], piece.listener.task.options.task) for piece in batch]
        readings = [_read(*each, options) for each in zip(batch, tokenizers, self._generate(encoded, tokenizers, options), strict=True)]
        batch[0].listener.task.stay()
        if batch[0].listener.task.options.align:
            words = self._align(encoded, readings, options)
        else:
            words = [_plain_words(each.tokenizer, each.tokens, each.confidence, options) for each in readings]
        for piece, reading, found in zip(batch, readings, words, strict=True):
            piece.sounded(languages[piece], found, looping=reading.looping, invented=reading.invented)

    def _align(self, encoded: Any, readings: Sequence["_Reading"], options: Any) -> list[list[HeardWord]]:
        """Attention is asked for with one start sequence at a time, so a batch in several languages is taken apart."""
        words: dict[int, list[HeardWord]] = {}
        for tokenizer in dict.fromkeys(each.tokenizer for each in readings):
            rows = [row for row, each in enumerate(readings) if each.tokenizer is tokenizer]
            tokens, frames = [readings[row].tokens for row in rows], [readings[row].piece.frames for row in rows]
            found = self._model.find_alignment(tokenizer, tokens, _rows(encoded, rows), frames)
            words |= {row: _words(each, options) for row, each in zip(rows, found, strict=True)}
        return [words[row] for row in range(len(readings))]

    def _generate(self, encoded: Any, tokenizers: Sequence[Any], options: Any) -> list[Any]:
        temperature = options.temperatures[0]
        search = {"beam_size": options.beam_size, "patience": options.patience}
        sampling = {"beam_size": 1, "num_hypotheses": options.best_of, "sampling_topk": 0, "sampling_temperature": temperature}
        results: list[Any] = self._model.model.generate(
            encoded,
            [self._prompt(tokenizer, options) for tokenizer in tokenizers],
            length_penalty=options.length_penalty,
            max_length=self._model.max_length,
            suppress_blank=options.suppress_blank,
            suppress_tokens=options.suppress_tokens,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            repetition_penalty=options.repetition_penalty,
            return_scores=True,
            return_no_speech_prob=True,
            **(sampling if temperature > 0 else search),
        )
        return results

    def _prompt(self, tokenizer: Any, options: Any) -> list[int]:
        previous = tokenizer.encode(" " + options.initial_prompt.strip()) if options.initial_prompt else []
        prompt: list[int] = self._model.get_prompt(
            tokenizer, previous, without_timestamps=options.without_timestamps, hotwords=options.hotwords
        )
        return prompt

    def _tokenizer(self, language: str, task: str) -> Any:
        if (language, task) not in self._tokenizers:
            multilingual = self._model.model.is_multilingual
            self._tokenizers[language, task] = Tokenizer(self._model.hf_tokenizer, multilingual, task=task, language=language)
        return self._tokenizers[language, task]


class _Reading(NamedTuple):
    """What a piece comes to, before its words are."""

    piece: Piece
    tokenizer: Any
    tokens: list[int]
    confidence: float
    looping: bool
    invented: bool


class _Worked(NamedTuple):
    """A batch: what of it could not be heard, each with why, and how long it took."""

    lost: list[tuple[Piece, Exception]]
    seconds: float


def load_recogniser(
    whisper: Whisper, hardware: Hardware, token: str | None, make: Callable[..., Any] = whisperx.asr.WhisperModel
) -> Recogniser:
    """Load the model with WhisperX's own defaults.

    Raises `PermanentError` `model_unusable`, with the library's reason; `TransientError` `out_of_memory`.
    """
    torch.set_num_threads(hardware.threads)
    try:
        model = make(
            whisper.source,
            device=hardware.device,
            compute_type=hardware.compute_type,
            cpu_threads=hardware.threads,
            num_workers=hardware.most_workers,
            download_root=whisper.cache,
            use_auth_token=token,
        )
    except (MemoryError, OSError, RuntimeError, ValueError) as error:
        if failures.out_of_memory(error):
            message = f"The machine ran out of memory while loading Whisper {whisper.name} on {hardware.device}; a smaller model may fit."
            raise TransientError("out_of_memory", message) from error
        raise PermanentError("model_unusable", f"Whisper {whisper.name} cannot be loaded on {hardware.device}: {error}") from error
    plain = whisperx.asr.load_model(whisper.name, hardware.device, hardware.compute_type, model=model, vad_model=Vad(0.5))
    abreast = Abreast(hardware.workers, hardware.most_workers, _memory_free)
    return Recogniser(model, plain.options, Widths(hardware.widest, gpu_memory_free), abreast, most_seconds=hardware.most_seconds)


def _memory_free() -> int:
    """Bytes; more than there can be where the system does not say."""
    free = memory.free()
    return sys.maxsize if free is None else free


def _listeners(batch: Sequence[Piece]) -> list[Listener]:
    """Of whose recordings the batch has something."""
    return list(dict.fromkeys(piece.listener for piece in batch))


def _rows(encoded: Any, rows: list[int]) -> Any:
    """Some of a batch's encoder output, on the device that it is on."""
    if len(rows) == encoded.shape[0]:
        return encoded
    whole = torch.as_tensor(encoded, device="cuda") if encoded.device == "cuda" else np.asarray(encoded)
    return ctranslate2.StorageView.from_array(whole[rows])


def _read(piece: Piece, tokenizer: Any, result: Any, options: Any) -> _Reading:
    tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
    confidence = _confidence(result, options.length_penalty)
    circles = looping(tokenizer.decode(tokens), len(result.sequences_ids[0]), piece.seconds)
    invented = guards.unspoken(result.no_speech_prob, confidence) or guards.silent(piece.samples)
    return _Reading(piece, tokenizer, tokens, confidence, circles, invented)


def _confidence(result: Any, length_penalty: float) -> float:
    """The geometric mean of the tokens' probabilities, the end token included (WhisperX's `avg_logprob`, as a probability)."""
    length = len(result.sequences_ids[0])
    return exp(min(0.0, result.scores[0] * length**length_penalty / (length + 1)))


def _plain_words(tokenizer: Any, tokens: list[int], confidence: float, options: Any) -> list[HeardWord]:
    texts, _ = tokenizer.split_to_word_tokens(tokens)
    found = [{"word": text, "tokens": [], "start": None, "end": None, "probability": confidence} for text in texts]
    return _words(found, options)


def _words(found: list[dict[str, Any]], options: Any) -> list[HeardWord]:
    """Punctuation joins the word it belongs to, as in faster-whisper; a word's times stay those of its letters."""
    merge_punctuations(found, options.prepend_punctuations, options.append_punctuations)
    return [HeardWord(word["word"], float(word["probability"]), word["start"], word["end"]) for word in found if word["word"].strip()]
