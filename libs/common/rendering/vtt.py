"""WebVTT. Written by hand: pysubs2 does not escape, so a `&` or a `<` in the text would be lost in a browser.

Speakers are voice spans, the format's own way, which a style sheet can show and colour. Escaping `>` also keeps `-->` out of the text.
"""

from common.rendering.clock import timestamp
from common.rendering.cues import cues
from common.rendering.direction import marked
from common.rendering.highlighting import shown, stretches
from common.rendering.layout import Layout
from common.transcript import Transcript


def render(transcript: Transcript, layout: Layout) -> str:
    """A cue has one voice at most."""
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript, layout, labelled=False):
        voice = "" if cue.speaker is None else f"<v {_escaped(cue.speaker)}>"
        for item in shown(cue, highlight_words=layout.highlight_words):
            lines = ["".join(f"<u>{_escaped(text)}</u>" if lit else _escaped(text) for text, lit in line) for line in stretches(item)]
            text = "\n".join(marked(lines, said=cue.said))
            blocks.append(f"{timestamp(item.start, '.')} --> {timestamp(item.end, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
