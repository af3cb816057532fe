"""What decoding a file comes to, apart from its samples: small enough to be told from one process to another."""

from typing import Literal

import msgspec

from common.jobs.kind import Kind
from common.transcript import AudioTrack

Channels = Literal["mix", "split", "auto"]
"""What becomes of a recording's channels: `media.gather` says how they are kept apart."""


class Gathered(msgspec.Struct, frozen=True):
    """Of the rooms that there were, the first `lanes` hold something, all of them as much; the file has so many `channels`.

    `damaged` says that some of it could not be decoded, and `track` which one it is, where the file has several; `kind` is the file's.
    `opposite` says that two channels would have cancelled each other out in the mix.
    """

    lanes: int
    channels: int
    damaged: bool
    kind: Kind
    track: AudioTrack | None = None
    opposite: bool = False
