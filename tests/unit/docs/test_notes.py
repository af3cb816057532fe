"""The codes of warnings and degradations, as they are documented."""

import re
from pathlib import Path

from services import transcriber

TRANSCRIBER = Path(next(iter(transcriber.__path__)))
DOCUMENT = TRANSCRIBER.parents[1] / "docs" / "api" / "transcripts.md"
_MADE = re.compile(r"""(?:\bNote|guards\.told)\(\s*["'](\w+)["']""")
_NAMED = re.compile(r"^(?:UNAVAILABLE|FAILED) = \"(\w+)\"$", re.MULTILINE)


def test_every_code_is_documented_and_no_other() -> None:
    """Programs act on codes: the table in docs/api/transcripts.md has each that the engine can put into a transcript."""
    sources = [path.read_text() for path in TRANSCRIBER.rglob("*.py")]
    made = {code for source in sources for pattern in (_MADE, _NAMED) for code in pattern.findall(source)}
    section = DOCUMENT.read_text().partition("## Warnings and degradations")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {code for row in rows for code in re.findall(r"`(\w+)`", row)} - {"warnings", "degradations"}
    assert made == documented
