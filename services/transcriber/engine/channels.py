"""Whether a recording's channels are transcribed apart, each as a speaker of its own, or as the mix that they make.

Some channels are no speakers. Copies of one sound (a mono recording saved as stereo) count once; if only one sound is left, it is the
recording. A scene that several microphones share, or music, `auto` mixes. And a telephone line leaks: where a channel holds a quieter copy
of what a louder one has, it is silenced, or the same sentence would be written twice.

Channels that stay apart are laid one after the other on one tape, with silence between. So the engine hears one recording, whatever its
steps are, in shared batches and with one report; only the finished segments are moved back to the times of their channels.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.errors import PermanentError
from common.jobs.partials import PartialSegment
from common.transcript import Note, Segment
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Read, Samples, Tape, read
from services.transcriber.engine.mixing import Mixer
from services.transcriber.engine.speakers import OVERLAP_SHARE, Turn, spoken_over
from services.transcriber.engine.speech import CHUNK_SECONDS
from services.transcriber.frames import MOST_APART
from services.transcriber.protocol import Options

SAME = 0.98
"""Correlation over the whole recording that makes two channels one; copies may differ in loudness and sign."""

QUIETER_DB = 6.0
"""A channel that is this much below another one at the same moment has no voice of its own then."""

ALIKE = 0.7
"""Correlation within half a second that makes the quieter of two channels a leak; two voices at once stay below it."""

TOGETHER = 0.5
"""Share of the time with sound in which several channels have it: above it they carry the same scene."""

ALONE = 0.05
"""Share of the same time that a party to a conversation has for itself, at least."""

DUAL_MONO = Note("dual_mono", "All channels carry the same sound, so they were transcribed as one.")
COPIES = Note("duplicate_channels", "Some channels carry the same sound as others and were left out.")
OPPOSITE = Note("opposite_channels", "The two channels cancel each other out in their mix; where they do, the first was transcribed.")

_FRAME = SAMPLE_RATE // 10
_PIECE = 60 * SAMPLE_RATE
_WINDOW = SAMPLE_RATE // 2
_LAG = SAMPLE_RATE // 10
"""How much later or earlier a leak may come."""

_COARSE = 4
"""Voices are told apart well below 2 kHz, at a quarter of the work."""

_FFT = 4096
_INSTANT = 1e-3
_HEARD_DB = -60.0
_LEAST_POWER = 10.0
"""Some 3 units of 16 bits: below it there is nothing to silence."""

Levels = NDArray[np.float64]


def load(path: Path, options: Options, read: Read = read) -> Audio:
    """The recording at `path`, its channels as `options` want them. Raises what `read` raises; strict jobs, `too_many_channels`."""
    lanes = read(path, options.channels, options.language)
    split = options.channels == "split"
    if len(lanes.samples) > 1:
        return msgspec.structs.replace(settle(lanes.samples, damaged=lanes.damaged, split=split), track=lanes.track, kind=lanes.kind)
    notes: tuple[Note, ...] = (OPPOSITE,) if lanes.opposite else ()
    if split and lanes.channels > MOST_APART:
        message = f"The recording has {lanes.channels} channels; at most {MOST_APART} can be transcribed apart."
        if options.strict:
            raise PermanentError("too_many_channels", f"{message} Ask for channels=mix, or submit fewer channels.")
        notes = (*notes, Note("channels_mixed", f"{message} They were mixed."))
    return Audio(lanes.samples[0], lanes.damaged, notes=notes, track=lanes.track, kind=lanes.kind)


def settle(channels: Sequence[Samples], *, damaged: bool, split: bool) -> Audio:
    """Of several channels lay on a tape those that differ, if `split` says so or if at least two of them converse; else mix them."""
    kept = distinct(channels)
    if len(kept) == 1:  # not the mix: copies of opposite sign would cancel out
        return Audio(channels[kept[0]], damaged, notes=(DUAL_MONO,) if split else ())
    voices = [channels[number] for number in kept]
    if not split and not converse(levels(voices)):
        return mixed(channels, damaged=damaged)
    silence_leaks(voices)
    samples, seconds, stride = record(voices)
    return Audio(samples, damaged, Tape(kept, seconds, stride), (COPIES,) if len(kept) < len(channels) else ())


def distinct(channels: Sequence[Samples]) -> tuple[int, ...]:
    """The number of one channel for each sound, the loudest of its copies; a silent one is nobody's copy."""
    products = np.zeros((len(channels), len(channels)))
    for start in range(0, len(channels[0]), _PIECE):
        piece = np.stack([samples[start : start + _PIECE] for samples in channels]).astype(np.float32)
        piece -= piece.mean(axis=1, keepdims=True)
        products += piece @ piece.T
    size = np.sqrt(np.diag(products))
    kept: list[int] = []
    for each in np.argsort(-size, kind="stable"):
        if size[each] == 0 or all(abs(products[each, other]) < SAME * size[each] * size[other] for other in kept):
            kept.append(int(each))
    return tuple(sorted(kept))


def mixed(channels: Sequence[Samples], *, damaged: bool) -> Audio:
    """All of them as one, made piece by piece: sums need more room than samples."""
    mix, mixer = np.empty_like(channels[0]), Mixer()
    for start in range(0, len(mix), _FRAME):
        piece = slice(start, start + _FRAME)
        mix[piece] = mixer.mix(np.stack([samples[piece] for samples in channels], axis=1))
    return Audio(mix, damaged, notes=(OPPOSITE,) if mixer.opposite else ())


def record(channels: Sequence[Samples]) -> tuple[Samples, float, float]:
    """The channels one after the other, the seconds of each and the seconds from one to the next: whole chunks, the last one silent."""
    length, chunk = len(channels[0]), CHUNK_SECONDS * SAMPLE_RATE
    stride = (-(-length // chunk) + 1) * chunk
    tape = np.zeros(stride * len(channels), np.int16)
    for number, samples in enumerate(channels):
        tape[number * stride : number * stride + length] = samples
    return tape, length / SAMPLE_RATE, stride / SAMPLE_RATE


def unroll(segments: Iterable[Segment], tape: Tape) -> tuple[Segment, ...]:
    """Segments with the tape's times as segments of their channels, each channel a speaker named after it, in the order of their starts.

    Words that are spoken over by another channel are marked, as are those of speakers whom their voices tell apart.
    """
    ordered = sorted((_moved(segment, tape) for segment in segments), key=lambda segment: (segment.start, segment.end))
    return tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(_marked(ordered)))


def partial(span: Span, text: str, tape: Tape | None) -> PartialSegment:
    """What was heard at a place in the samples, with the recording's times."""
    if tape is None:
        return PartialSegment(start=span.start, end=span.end, text=text)
    channel, offset = _place(span.start, tape)
    start, end = (round(min(time - offset, tape.seconds), 3) for time in (span.start, span.end))
    return PartialSegment(start=start, end=end, text=text, channel=channel)


def by_channel(spans: Iterable[Span], tape: Tape | None) -> dict[int | None, list[Span]]:
    """Stretches of the samples, in order, in the recording's time; those of a recording without a tape are of the channel None."""
    found: dict[int | None, list[Span]] = {}
    for span in spans:
        channel, offset = (None, 0.0) if tape is None else _place(span.start, tape)
        found.setdefault(channel, []).append(Span(span.start - offset, span.end - offset))
    return found


def turns(segments: Iterable[Segment]) -> list[Turn]:
    """When each channel speaks."""
    return [Turn(segment.start, segment.end, segment.speaker) for segment in segments if segment.speaker is not None]


def levels(channels: Sequence[Samples]) -> Levels:
    """Decibels below full scale for each channel and each 0.1 s."""
    return np.stack([10 * np.log10(_powers(samples) / 2.0**30 + 1e-10) for samples in channels])


def converse(levels: Levels) -> bool:
    """Whether channels with these levels are parties who talk in turn, rather than a scene that all of them hear."""
    if levels.shape[1] == 0:
        return False
    quiet, loud = (each[:, None] for each in np.percentile(levels, (10, 99), axis=1))
    heard = (levels > np.maximum(quiet + 0.35 * (loud - quiet), _HEARD_DB)) & (loud - quiet > 2 * QUIETER_DB)
    heard &= levels > levels.max(axis=0) - QUIETER_DB
    at_once = heard.sum(axis=0)
    sound = np.count_nonzero(at_once)
    alone = np.count_nonzero(heard & (at_once == 1), axis=1)
    return bool(sound and np.count_nonzero(at_once > 1) <= TOGETHER * sound and np.count_nonzero(alone >= ALONE * sound) > 1)


def silence_leaks(channels: Sequence[Samples]) -> None:
    """Put silence, in place, where a channel holds what a louder one has at the same moment."""
    for start in range(0, len(channels[0]), _WINDOW):
        window = slice(start, start + _WINDOW)
        power = np.array([np.square(samples[window], dtype=np.float32).mean() for samples in channels])
        loudest = int(power.argmax())
        for leak in map(int, np.flatnonzero((power > _LEAST_POWER) & (power < power[loudest] * 10 ** (-QUIETER_DB / 10)))):
            if likeness(channels[leak], channels[loudest], start) >= ALIKE:
                channels[leak][window] = 0


def likeness(one: Samples, other: Samples, start: int) -> float:
    """The best correlation, 0 to 1, of half a second of `one` from `start` on with `other`, up to 0.1 s earlier or later."""
    mine = _coarse(one, start, start + _WINDOW)
    theirs = _coarse(other, start - _LAG, start + _WINDOW + _LAG)
    shifts = len(theirs) - len(mine) + 1
    products = np.fft.irfft(np.fft.rfft(theirs, _FFT) * np.conj(np.fft.rfft(mine, _FFT)), _FFT)[:shifts]
    sums = np.concatenate(([0.0], np.cumsum(np.square(theirs))))
    sizes = np.sqrt(np.square(mine).sum() * (sums[len(mine) :] - sums[:shifts]))
    return float(np.max(np.abs(products) / np.maximum(sizes, 1.0)))


def _moved(segment: Segment, tape: Tape) -> Segment:
    channel, offset = _place(segment.start, tape)
    speaker = f"CHANNEL_{channel}"

    def clock(time: float) -> float:
        return round(min(time - offset, tape.seconds), 3)

    words = tuple(msgspec.structs.replace(each, start=clock(each.start), end=clock(each.end), speaker=speaker) for each in segment.words)
    return msgspec.structs.replace(
        segment, start=clock(segment.start), end=clock(segment.end), words=words, channel=channel, speaker=speaker
    )


def _place(time: float, tape: Tape) -> tuple[int, float]:
    """Which channel is there, and where on the tape it begins."""
    place = min(int(time // tape.stride), len(tape.channels) - 1)
    return tape.channels[place], place * tape.stride


def _marked(segments: Sequence[Segment]) -> Iterator[Segment]:
    spoken = [Turn(word.start, word.end, segment.speaker or "") for segment in segments for word in segment.words]
    if spoken:
        starts = np.array([turn.start for turn in spoken])
        ends = np.maximum(np.array([turn.end for turn in spoken]), starts + _INSTANT)
        marks = iter(spoken_over(starts, ends, spoken) >= OVERLAP_SHARE * (ends - starts))
    for segment in segments:
        words = tuple(msgspec.structs.replace(word, overlap=bool(next(marks))) for word in segment.words)
        yield msgspec.structs.replace(segment, words=words, overlap=any(word.overlap for word in words))


def _powers(samples: Samples) -> Levels:
    count = len(samples) // _FRAME
    powers = np.empty(count)
    for start in range(0, count, _PIECE // _FRAME):
        stop = min(start + _PIECE // _FRAME, count)
        frames = samples[start * _FRAME : stop * _FRAME].reshape(-1, _FRAME)
        powers[start:stop] = np.square(frames, dtype=np.float32).mean(axis=1)
    return powers


def _coarse(samples: Samples, start: int, stop: int) -> Levels:
    """A stretch, with silence where it reaches beyond the recording, at a quarter of the rate and around zero."""
    stretch = np.zeros(stop - start)
    first, last = max(0, start), min(stop, len(samples))
    stretch[first - start : last - start] = samples[first:last]
    coarse = stretch.reshape(-1, _COARSE).mean(axis=1)
    return np.asarray(coarse - coarse.mean())
