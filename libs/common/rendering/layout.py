"""How subtitles are laid out: what a reader can ask for, within bounds."""

from typing import Annotated

import msgspec

HIGHLIGHTED_COLUMNS = 256
"""With `highlight_words` a cue is written once for each of its words, so its text must be no book."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths are columns on the screen (a CJK character takes two), durations seconds."""

    max_line_length: Annotated[int, msgspec.Meta(ge=10, le=200, description="Columns in a line; a CJK character takes two")] = 42
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=10, description="Lines in a cue")] = 2
    min_duration: Annotated[float, msgspec.Meta(ge=0, le=10, description="Seconds that a cue stays at least, if the next leaves room")] = (
        0.8
    )
    max_duration: Annotated[float, msgspec.Meta(ge=1, le=60, description="Seconds that a cue stays at most")] = 7.0
    max_cps: Annotated[
        float, msgspec.Meta(ge=1, le=1000, description="Columns a second; a faster cue stays longer, if the next leaves room")
    ] = 20.0
    min_gap: Annotated[float, msgspec.Meta(ge=0, le=1, description="Seconds without text between two cues")] = 0.0
    speaker_labels: Annotated[bool, msgspec.Meta(description="Say who speaks")] = True
    highlight_words: Annotated[bool, msgspec.Meta(description="Underline each word while it is spoken")] = False

    def __post_init__(self) -> None:
        if self.max_duration < self.min_duration:
            raise ValueError("max_duration is less than min_duration")
        if self.highlight_words and self.max_lines * self.max_line_length > HIGHLIGHTED_COLUMNS:
            raise ValueError(f"highlight_words takes cues of {HIGHLIGHTED_COLUMNS} columns at the most, max_lines times max_line_length")
