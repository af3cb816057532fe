"""The audio frames of any media file, with whatever can be saved of a damaged one.

A file is only ever read through the handle opened here: playlist and concatenation formats, which name other files or addresses inside,
find every protocol closed, so an upload cannot make us read someone else's recording. Frames that cannot be decoded are skipped, not fatal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.stream import Disposition

from common.errors import PermanentError, TransientError
from common.jobs.kind import Kind
from common.transcript import AudioTrack
from services.transcriber import tracks
from services.transcriber.tracks import Track

_ASIDE = Disposition.comment | Disposition.visual_impaired | Disposition.descriptions


@contextmanager
def sound(path: Path, language: str | None = None) -> Iterator["Frames"]:
    """The frames of one audio track, as they are; of several, the one that `tracks` chooses for `language`.

    Raises `PermanentError`, also for what goes wrong inside: `empty_audio` (nothing in it), `no_audio_stream` (a video without sound),
    `unsupported_media` (not media, an unknown codec, or damaged beyond use).
    """
    try:
        if path.stat().st_size == 0:
            raise PermanentError("empty_audio", "The file is empty.")
        with (
            path.open("rb", buffering=0) as file,
            av.open(file, "r", metadata_errors="ignore", options={"protocol_whitelist": "pipe"}) as container,
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
    except av.FFmpegError as error:
        raise PermanentError("unsupported_media", "The file is not a recording that can be read, or it is damaged.") from error


class Frames:
    """The frames of `track` that can be decoded; `lost` counts the places where one could not."""

    def __init__(self, container: av.container.InputContainer, stream: av.AudioStream, track: AudioTrack, kind: Kind) -> None:
        self._container, self._stream, self.track, self.kind, self.lost = container, stream, track, kind, 0

    def __iter__(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.lost += 1
                return
            if packet is None:
                return
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError:
                self.lost += 1


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
