"""SubRip. Written by hand: pysubs2 takes `{braces}` in the text for its own markup and drops them.

The format knows no escape, so text goes in as it is; what matters is that no line of a cue is empty, which `cues` sees to.
"""

from itertools import count

from common.rendering.clock import timestamp
from common.rendering.cues import cues
from common.rendering.direction import marked
from common.rendering.highlighting import shown, stretches
from common.rendering.layout import Layout
from common.transcript import Transcript


def render(transcript: Transcript, layout: Layout) -> str:
    """Speakers stand in front of the text."""
    items = (item for cue in cues(transcript, layout, labelled=True) for item in shown(cue, highlight_words=layout.highlight_words))
    blocks = []
    for number, item in zip(count(1), items, strict=False):
        lines = ["".join(f"<u>{text}</u>" if lit else text for text, lit in line) for line in stretches(item)]
        text = "\n".join(marked(lines, said=item.cue.said))
        blocks.append(f"{number}\n{timestamp(item.start, ',')} --> {timestamp(item.end, ',')}\n{text}\n")
    return "\n".join(blocks)
