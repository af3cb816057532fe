"""Recordings being heard: their pieces, each as long as Whisper hears at once, and what was heard in each so far."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from common.transcript import Note
from services.transcriber.engine import guards, languages, windows
from services.transcriber.engine.heard import Chunk, Heard, HeardWord, Span
from services.transcriber.engine.imports import lean
from services.transcriber.engine.languages import Guess
from services.transcriber.engine.media import SAMPLE_RATE
from services.transcriber.engine.recording import Task

with lean():
    from whisperx.vads.vad import Vad

_ROUNDING = 0.001
"""Chunks are rounded to milliseconds."""

FRAMES_PER_SECOND = 100
"""Of the log-mel spectrogram that Whisper hears."""

_FEWEST_FRAMES = 2
"""One step of Whisper's attention; alignment fails on less."""

_CERTAIN = 1.0

_SAMPLED = 3
"""Pieces, the longest, that show whether a recording is in the language that it is said to be in; to ask of all costs a twentieth.

All are asked of where something is to be redacted: in another language it would not be found.
"""

SMALLER_BATCH = Note("smaller_batch", "Memory was short, so less was transcribed at once. The text is the same, it took longer.")


class Listener:
    """One recording being heard. A single possible language is taken as it is; guesses only tell whether it sounds so."""

    def __init__(self, task: Task, allowed: tuple[str, ...]) -> None:
        self.task, self.allowed = task, allowed
        certain = {allowed[0]: _CERTAIN} if len(allowed) == 1 else None
        self.pieces = [Piece(self, span, speech, certain) for span, speech in _chunks(task.speech)]
        sampled = _SAMPLED if certain and not task.options.redact else None
        for piece in sorted(self.pieces, key=lambda each: each.seconds, reverse=True)[:sampled]:
            piece.to_guess = True

    def languages(self) -> dict["Piece", str]:
        """Of the pieces of which something is known so far."""
        known = [piece for piece in self.pieces if piece.guess]
        found = languages.assign([piece.guess or {} for piece in known], [piece.seconds for piece in known])
        return dict(zip(known, found, strict=True))

    def to_hear_again(self) -> list["Piece"]:
        """Those heard in another language than the rest suggests, and those that were lost or went round in circles in a short window."""
        again = [piece for piece, language in self.languages().items() if piece.language != language]
        for piece in self.pieces:
            if piece.lost or (piece.looping and piece.window < windows.LONGEST):
                piece.window = windows.LONGEST
                again.append(piece)
        return list(dict.fromkeys(again))

    def report(self) -> None:
        """Tell how many pieces have been heard, or cannot be."""
        self.task.on_progress(sum(1 for piece in self.pieces if piece.language or piece.lost) / len(self.pieces))

    def heard(self) -> Heard:
        """English is what comes out of a translation, whatever went in."""
        lost = tuple(piece.span for piece in self.pieces if piece.lost)
        pieces = [piece for piece in self.pieces if not piece.lost]
        if not pieces:
            return Heard((), self.task.options.language or "und", 0.0, lost=lost)
        for piece in pieces:
            piece.guard()
        written = [("en" if self.task.options.task == "translate" else piece.language) for piece in pieces]
        chunks = tuple(
            Chunk(piece.span, piece.speech, tuple(piece.words), language) for piece, language in zip(pieces, written, strict=True)
        )
        spoken, guesses = [piece.language for piece in pieces], [piece.guess or {} for piece in pieces]
        language, confidence = languages.main(spoken, guesses, [piece.seconds for piece in pieces])
        return Heard(
            chunks,
            language,
            confidence,
            lost=lost,
            invented=tuple(piece.span for piece in pieces if piece.invented),
            looped=tuple(piece.span for piece in pieces if piece.looped),
            foreign=tuple(piece.span for piece in pieces if piece.foreign),
            notes=(SMALLER_BATCH,) if any(piece.narrowed for piece in self.pieces) else (),
        )


class Piece:
    """One chunk: where it is, and what was heard in it so far."""

    def __init__(self, listener: Listener, span: Span, speech: tuple[Span, ...], guess: Guess | None) -> None:
        self.listener, self.span, self.speech, self.guess = listener, span, speech, guess
        self.samples = listener.task.samples[int(span.start * SAMPLE_RATE) : int(span.end * SAMPLE_RATE)]
        self.seconds = len(self.samples) / SAMPLE_RATE
        self.frames = max(_FEWEST_FRAMES, len(self.samples) * FRAMES_PER_SECOND // SAMPLE_RATE)
        self.window = windows.window(self.seconds)
        self.language = ""
        self.words: list[HeardWord] = []
        self.to_guess = self.foreign = False
        self.looping = self.looped = self.invented = self.lost = self.narrowed = False

    def sounds(self, guess: Guess) -> None:
        """What the model guesses the language to be, whatever was asked for."""
        self.to_guess = False
        self.foreign = languages.foreign(guess, self.listener.allowed)
        self.guess = self.guess or languages.restrict(guess, self.listener.allowed)

    def sounded(self, language: str, words: list[HeardWord], *, looping: bool, invented: bool) -> None:
        """It was heard, as all of this; a hearing that fails on the way changes nothing."""
        self.language, self.words, self.looping, self.invented, self.lost = language, words, looping, invented, False

    def show(self) -> None:
        """What it sounds like so far: nothing where nobody seems to speak, or where it goes round in circles and is heard again."""
        again = self.looping and self.window < windows.LONGEST
        if not (self.invented or again):
            words = self._without_loops() if self.looping else self.words
            self.listener.task.on_heard(self.span, "".join(word.text for word in words).strip())

    def guard(self) -> None:
        """Take out what nobody said; what is not there was not invented."""
        self.invented = self.invented and bool(self.words)
        if self.invented:
            self.words, self.foreign = [], False
        elif self.looping:
            kept = self._without_loops()
            self.looped = len(kept) < len(self.words)
            self.words = kept

    def _without_loops(self) -> list[HeardWord]:
        begin = self.span.start
        return guards.collapsed(self.words, [Span(each.start - begin, each.end - begin) for each in self.speech])


class _Stretch(NamedTuple):
    start: float
    end: float
    speaker: str | None = None


def _chunks(speech: Sequence[Span]) -> list[tuple[Span, tuple[Span, ...]]]:
    """Neighbouring stretches of speech together, as far as Whisper hears at once; merged by WhisperX."""
    stretches = [_Stretch(span.start, span.end) for span in speech]
    merged = Vad.merge_chunks(stretches, windows.LONGEST, onset=0.5, offset=None)
    spans = [Span(round(chunk["start"], 3), round(chunk["end"], 3)) for chunk in merged]
    return [(span, _within(span, speech)) for span in spans]


def _within(span: Span, speech: Sequence[Span]) -> tuple[Span, ...]:
    first = bisect_left(speech, span.start - _ROUNDING, key=lambda each: each.start)
    last = bisect_right(speech, span.end + _ROUNDING, key=lambda each: each.end)
    return tuple(speech[first:last])
