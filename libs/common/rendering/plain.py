"""Text for reading and for tables: a line a segment."""

import csv
from io import StringIO

from common.rendering.direction import marked
from common.rendering.layout import Layout
from common.rendering.units import clean
from common.transcript import Segment, Transcript


def text(transcript: Transcript, layout: Layout) -> str:
    """Speakers stand in front of what they say."""
    return "".join(f"{_line(segment, layout)}\n" for segment in transcript.segments)


def tsv(transcript: Transcript, layout: Layout) -> str:
    """Whisper's table: start and end in milliseconds, and the text. With speakers there is a column for them at the end.

    The format has neither quotes nor escapes; a field holds no tab or line break, as `clean` makes spaces of them.
    """
    speakers = layout.speaker_labels and any(segment.speaker is not None for segment in transcript.segments)
    out = StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    writer.writerow(["start", "end", "text", "speaker"][: 4 if speakers else 3])
    for segment in transcript.segments:
        row = [round(segment.start * 1000), round(segment.end * 1000), clean(segment.text), clean(segment.speaker or "")]
        writer.writerow(row[: 4 if speakers else 3])
    return out.getvalue()


def _line(segment: Segment, layout: Layout) -> str:
    said = clean(segment.text)
    label = "" if segment.speaker is None or not layout.speaker_labels else f"{clean(segment.speaker)}: "
    return marked([label + said], said=said)[0]
