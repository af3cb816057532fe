"""The audio frames of any media file, with whatever can be saved of a damaged one.

A file is only ever read through the handle opened here. Of what ffmpeg can do with one, no more is allowed than recordings need: containers
that hold sound themselves, so that no playlist names other files or addresses, and no script has sound made up for it; decoders of sound,
so that no picture is decoded on the way to it; and no protocol at all. Frames that cannot be decoded are skipped, not fatal; those that
come later than one after the other are put behind silence (`timeline`), so that whoever counts samples knows the time.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import av
from av.stream import Disposition

from common.errors import PermanentError, TransientError
from common.jobs.kind import Kind
from common.transcript import AudioTrack
from services.transcriber import tracks
from services.transcriber.tags import untagged
from services.transcriber.timeline import Timeline, silence
from services.transcriber.tracks import Track

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Hertz. Telephones have 8,000 and studios 384,000. Below, a small file is days long and one frame fills the memory with what is made up
between its samples; above, the resampler's filter does."""

MOST_APART = 8
"""Channels that can be kept apart. More are mixed, and by hand: the resampler's down-mix refuses layouts that have no name."""

_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,latm,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "mpegvideo,ogg,rm,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
"""ffmpeg's names of what ingest takes for recordings, and of what may hide behind an ID3 tag."""

_SYNTHETIC = {"anull", "wavesynth"}
"""Decoders that take no sound."""

_ASIDE = Disposition.comment | Disposition.visual_impaired | Disposition.descriptions


def load() -> None:
    """What is read from the disk when it is first needed, while that can still be done: kinds of streams, and names of languages."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    tracks.choose([Track("ger"), Track("eng")], "en")


@contextmanager
def sound(
    path: Path, language: str | None = None, *, confined: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator["Frames"]:
    """The frames of one audio track, as they are; of several, the one that `tracks` chooses for `language`.

    `confined` is entered when the file is open, before anything in it is looked at. Raises `PermanentError`, also for what goes wrong
    inside: `empty_audio` (nothing in it), `no_audio_stream` (a video without sound), `unsupported_media` (not media, an unknown codec, a
    sample rate that no recording has, or damaged beyond use). What takes too much memory raises `MemoryError`.
    """
    try:
        if path.stat().st_size == 0:
            raise PermanentError("empty_audio", "The file is empty.")
        with (
            path.open("rb", buffering=0) as file,
            confined(),
            av.open(untagged(file), "r", metadata_errors="ignore", options=_allowed()) as container,
        ):
            streams = [stream for stream in container.streams if isinstance(stream, av.AudioStream)]
            if not streams:
                if container.streams.video:
                    raise PermanentError("no_audio_stream", "The video has no sound.")
                raise PermanentError("unsupported_media", "The file holds no audio.")
            track = tracks.choose([_track(stream) for stream in streams], language)
            yield Frames(container, streams[track.number - 1], track, _kind(container))
    except FileNotFoundError as error:
        raise TransientError("source_missing", "The recording is not where it was put for the engine.") from error
    except av.error.MemoryError:
        raise
    except av.FFmpegError as error:
        raise PermanentError("unsupported_media", "The file is not a recording that can be read, or it is damaged.") from error


class Frames:
    """The frames of `track` that can be decoded, at their times; `lost` counts the places where one could not, or cannot be placed."""

    def __init__(self, container: av.container.InputContainer, stream: av.AudioStream, track: AudioTrack, kind: Kind) -> None:
        self._container, self._stream, self.track, self.kind, self.lost = container, stream, track, kind, 0
        self._timeline = Timeline(container.format.name, container.start_time)

    def __iter__(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.MemoryError:
                raise
            except av.FFmpegError:
                self.lost += 1
                return
            if packet is None:
                return
            for frame in map(_bounded, self._decoded(packet)):
                yield from self._silence(frame)
                yield frame

    def _silence(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """What there is before it."""
        missing = self._timeline.missing(frame.time, frame.samples / frame.sample_rate)
        if missing is None:
            self.lost += 1
        else:
            yield from silence(missing, frame)

    def _decoded(self, packet: "av.Packet[av.AudioStream]") -> Sequence[av.AudioFrame]:
        try:
            return self._stream.decode(packet)
        except av.error.MemoryError:
            raise
        except av.FFmpegError:
            self.lost += 1
            return ()


@cache
def _allowed() -> dict[str, str]:
    """What is not named is refused. No protocol is called "none", and an empty list would be as good as no list."""
    return {"protocol_whitelist": "none", "format_whitelist": _CONTAINERS, "codec_whitelist": ",".join(sorted(_decoders()))}


def _decoders() -> Iterator[str]:
    for name in av.codecs_available - _SYNTHETIC:
        try:
            codec = av.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:  # it encodes only
            continue
        if codec.type == "audio":
            yield name


def _bounded(frame: av.AudioFrame) -> av.AudioFrame:
    if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
        raise PermanentError(
            "unsupported_media",
            f"The recording has {frame.sample_rate} samples a second; only {LOWEST_RATE} to {HIGHEST_RATE} can be transcribed.",
        )
    return frame


def _track(stream: av.AudioStream) -> Track:
    return Track(
        stream.language,
        default=bool(stream.disposition & Disposition.default),
        aside=bool(stream.disposition & _ASIDE),
        known=stream.codec_context is not None,
    )


def _kind(container: av.container.InputContainer) -> Kind:
    """A cover is a picture, and no video."""
    moving = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return "audio" if next(moving, None) is None else "video"
