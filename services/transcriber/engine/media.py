"""From any audio or video file to 16 kHz samples, mixed or by channel, with whatever can be saved of a damaged one.

Only a file without a single good frame fails (`frames`). And memory is bounded: samples stay 16-bit integers (half the size, and the
down-mix is normalised as in WhisperX's own loader) until a stretch is listened to, and a recording ends somewhere, the sooner the more
channels are kept apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from common.errors import PermanentError
from common.jobs.kind import Kind
from common.transcript import AudioTrack, Note
from services.transcriber.engine.gathered import Channels, Gathered
from services.transcriber.engine.mixing import Mixer
from services.transcriber.frames import MOST_APART, sound

SAMPLE_RATE = 16_000
LONGEST_HOURS = 24
LONGEST_HOURS_APART = 12
"""Of all channels together, where they are kept apart: they are held twice while they are laid one after the other."""

MOST_CHANNELS = 64
"""What the resampler takes."""

Samples = NDArray[np.int16]
"""One channel at 16 kHz."""

Waveform = NDArray[np.float32]
"""The same in [-1, 1], for models; only ever a stretch of a recording."""


class Tape(NamedTuple):
    """How channels lie one after the other in one array of samples: their numbers, counted from 0, and the seconds from one to the next.

    After each of its `seconds` there is silence, 30 s at least, so that nothing that is heard at once belongs to two of them.
    """

    channels: tuple[int, ...]
    seconds: float
    stride: float


class Audio(msgspec.Struct, frozen=True):
    """A recording, never empty; `damaged` says that some of it could not be decoded. `notes` are for the transcript's reader.

    `kind` is the file's; `track` says which of its tracks this is, where it has several. With a `tape`, times in `samples` are the tape's
    and not the recording's.
    """

    samples: Samples
    damaged: bool
    tape: Tape | None = None
    notes: tuple[Note, ...] = ()
    track: AudioTrack | None = None
    kind: Kind = "audio"

    @property
    def seconds(self) -> float:
        """The recording's length."""
        return self.tape.seconds if self.tape is not None else len(self.samples) / SAMPLE_RATE


class Lanes(msgspec.Struct, frozen=True):
    """What a file holds: one lane for its mix, or one for each of its `channels`. As in `Audio`, none is empty.

    `opposite` is as in `Gathered`.
    """

    samples: tuple[Samples, ...]
    channels: int
    damaged: bool
    kind: Kind
    track: AudioTrack | None = None
    opposite: bool = False


Read = Callable[[Path, Channels, str | None], Lanes]
"""Decodes a track for a language: `read`, or a decoder that does it elsewhere."""


def decode(path: Path) -> Audio:
    """The mix of all channels; raises what `read` raises."""
    held = read(path, "mix")
    return Audio(held.samples[0], held.damaged, kind=held.kind)


class Room(Protocol):
    """Where a lane's bytes are gathered."""

    def extend(self, data: bytes, /) -> None: ...

    def __len__(self) -> int: ...


def read(path: Path, channels: Channels, language: str | None = None) -> Lanes:
    """Decode in this process, into memory; raises what `gather` raises."""
    rooms = [bytearray() for _ in range(rooms_for(channels))]
    gathered = gather(path, channels, language, rooms)
    return lanes(gathered, [np.frombuffer(room, np.int16) for room in rooms[: gathered.lanes]])


def lanes(gathered: Gathered, samples: Sequence[Samples]) -> Lanes:
    """The two together."""
    return Lanes(tuple(samples), gathered.channels, gathered.damaged, gathered.kind, gathered.track, gathered.opposite)


def rooms_for(channels: Channels) -> int:
    """How many lanes there may be."""
    return 1 if channels == "mix" else MOST_APART


def gather(
    path: Path,
    channels: Channels,
    language: str | None,
    rooms: Iterable[Room],
    *,
    confined: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Gathered:
    """Decode one audio track, of several the one for `language`; each lane into a room of its own.

    There must be `rooms_for(channels)`: `split` and `auto` keep up to `MOST_APART` channels apart, `auto` not those of a surround mix.
    `confined` is for the time that anything in the file is looked at.

    Raises `PermanentError`: `empty_audio` (nothing in it), `no_audio_stream` (a video without sound), `unsupported_media` (not media, an
    unknown codec, or damaged beyond use), `recording_too_long`, `too_many_channels`.
    """
    with sound(path, language, confined=confined) as frames:
        pcm = _Pcm(channels, iter(rooms))
        for frame in frames:
            pcm.add(frame)
        pcm.finish()
    if any(map(len, pcm.lanes)):
        track = frames.track if frames.track.of > 1 else None
        return Gathered(len(pcm.lanes), pcm.channels, frames.lost > 0, frames.kind, track, pcm.opposite)
    if frames.lost:
        raise PermanentError("unsupported_media", "The file's audio cannot be decoded: it is damaged, protected or in an unknown format.")
    raise PermanentError("empty_audio", "The recording is empty: it has a length of zero.")


def waveform(samples: Samples) -> Waveform:
    """`samples` as models want them."""
    return samples.astype(np.float32) / np.float32(32768)


class _Pcm:
    """Frames, resampled and gathered in `lanes`: one for the mix, or one for each channel, as the first frame decides."""

    def __init__(self, wanted: Channels, rooms: Iterator[Room]) -> None:
        self._wanted, self._rooms = wanted, rooms
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[int, str, str] | None = None
        self._layout: av.AudioLayout | str = "mono"
        self._hours = float(LONGEST_HOURS)
        self._mixer = Mixer()
        self.channels = 0
        self.lanes: list[Room] = []

    @property
    def opposite(self) -> bool:
        """As in `Gathered`."""
        return self._mixer.opposite

    def add(self, frame: av.AudioFrame) -> None:
        """A recording may change its format half-way; the resampler is made anew when it does, and the lanes stay."""
        shape = (frame.sample_rate, frame.format.name, frame.layout.name)
        if self._resampler is None or shape != self._shape:
            self.finish()
            if not self.lanes:
                self._lay_lanes(frame.layout)
            self._resampler = av.AudioResampler(format="s16", layout=self._layout, rate=SAMPLE_RATE)
            self._shape = shape
        frame.pts = None
        self._keep(self._resampler.resample(frame))

    def finish(self) -> None:
        """What the resampler still holds."""
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler = None

    def _lay_lanes(self, layout: av.AudioLayout) -> None:
        """The resampler's own down-mix knows what each loudspeaker of a cinema is for, but refuses layouts that have no name.

        Two channels are mixed here, as they may cancel each other out.
        """
        self.channels = count = layout.nb_channels
        if count > MOST_CHANNELS:
            raise PermanentError("too_many_channels", f"The recording has {count} channels; submit one with {MOST_CHANNELS} at most.")
        surround = layout.name.partition("(")[0].endswith(".1")
        apart = 1 < count <= MOST_APART and (self._wanted == "split" or (self._wanted == "auto" and not surround))
        if apart or count == 2 or count > MOST_APART:
            self._layout = layout
        self.lanes = list(islice(self._rooms, count if apart else 1))
        self._hours = LONGEST_HOURS_APART / count if apart else LONGEST_HOURS

    def _keep(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            count = frame.layout.nb_channels
            samples = np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples * count).reshape(-1, count)
            if len(self.lanes) != count:
                samples = self._mixer.mix(samples)[:, np.newaxis]
            for lane, channel in zip(self.lanes, samples.T, strict=True):
                lane.extend(channel.tobytes())
        if len(self.lanes[0]) > self._hours * 3600 * SAMPLE_RATE * 2:
            apart = ", or with channels=mix" if len(self.lanes) > 1 else ""
            raise PermanentError("recording_too_long", f"The recording is longer than {self._hours:g} hours; submit it in parts{apart}.")
