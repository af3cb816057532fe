"""TTML, within what TTML1, TTML2 and the IMSC text profile share: one region at the bottom, a paragraph a cue.

Speakers are agents, as the metadata vocabulary has it; direction and language are said, so no marks are needed in the text. The text
has no character that XML forbids: `units.clean` has seen to it.
"""

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from common.rendering.clock import timestamp
from common.rendering.cues import Cue, cues
from common.rendering.direction import is_right_to_left
from common.rendering.layout import Layout
from common.transcript import Transcript

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" \
xmlns:tts="http://www.w3.org/ns/ttml#styling" ttp:timeBase="media" xml:lang={language}>
  <head>
{agents}    <styling>
      <style xml:id="plain" tts:fontFamily="proportionalSansSerif" tts:fontSize="100%" tts:textAlign="center" tts:color="white"/>
      <style xml:id="rtl" tts:direction="rtl" tts:unicodeBidi="embed"/>
    </styling>
    <layout>
      <region xml:id="bottom" tts:origin="10% 80%" tts:extent="80% 15%" tts:displayAlign="after" tts:overflow="visible"/>
    </layout>
  </head>
  <body style="plain" region="bottom">
    <div>
"""
_TAIL = "    </div>\n  </body>\n</tt>\n"


def render(transcript: Transcript, layout: Layout, *, language: str) -> str:
    """`language` is that of the text, ISO 639-1."""
    found = cues(transcript, layout, labelled=False)
    agents = {speaker: f"speaker{number}" for number, speaker in enumerate(_speakers(found))}
    head = _HEAD.format(language=quoteattr(language), agents=_metadata(agents))
    return head + "".join(_paragraph(cue, agents) for cue in found) + _TAIL


def _speakers(found: Iterable[Cue]) -> list[str]:
    """In the order in which they first speak."""
    return list(dict.fromkeys(cue.speaker for cue in found if cue.speaker is not None))


def _metadata(agents: dict[str, str]) -> str:
    if not agents:
        return ""
    people = "".join(
        f'      <ttm:agent xml:id="{key}" type="person"><ttm:name type="alias">{escape(name)}</ttm:name></ttm:agent>\n'
        for name, key in agents.items()
    )
    return f"    <metadata>\n{people}    </metadata>\n"


def _paragraph(cue: Cue, agents: dict[str, str]) -> str:
    agent = "" if cue.speaker is None else f' ttm:agent="{agents[cue.speaker]}"'
    style = ' style="rtl"' if is_right_to_left(cue.said) else ""
    text = "<br/>".join(escape("".join(piece.text for piece in line)) for line in cue.lines)
    return f'      <p begin="{timestamp(cue.start, ".")}" end="{timestamp(cue.end, ".")}"{style}{agent}>{text}</p>\n'
