"""References as they are submitted."""

from typing import Any

import msgspec
import pytest

from common.jobs.options import OptionError, Options, parse, stored
from common.references.lines import MOST_CHARACTERS, MOST_LINES, Line, ReferenceDigest

LINES = (Line(1, "One."), Line(2, "[Two]"))


@pytest.mark.parametrize(
    "given",
    [
        [{"number": 1, "text": "One."}, {"number": 2, "text": "[Two]"}],
        ' [ {"number": 1, "text": "One."}, {"number": 2, "text": "[Two]"}]',
        "One.\n\n  [Two]\r\n",
    ],
)
def test_a_reference_is_lines(given: Any) -> None:
    """Objects, their JSON in a form, or a text with a line for each."""
    assert parse({"reference": given}).reference == LINES


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([{"number": 1, "text": "One."}, {"number": 1, "text": "Two."}], "two lines with the number 1"),
        ([{"number": "1", "text": "One."}], "Expected `int`"),
        ([{"number": -1, "text": "One."}], ">= 0"),
        ([{"number": 1, "text": ""}], "length >= 1"),
        ([{"number": 1, "text": "One.", "speaker": "A"}], "unknown field"),
        ({"lines": 2, "sha256": "00"}, "Expected `array`"),
        ('[{"number": 1]', "JSON is malformed"),
        ("x" * 2_001, "length <= 2000"),
        ("a\n" * (MOST_LINES + 1), "length <= 3000"),
        (("word " * 300 + "\n") * (MOST_CHARACTERS // 1_000), "200000 characters"),
        ("...\n!", "no words"),
        ("a\0", "NUL"),
    ],
)
def test_what_is_no_reference(given: Any, reason: str) -> None:
    """It is refused by the option's name, with what is wrong."""
    with pytest.raises(OptionError, match=reason) as caught:
        parse({"reference": given})
    assert caught.value.field == "reference"


def test_a_row_keeps_its_digest() -> None:
    """Which tells one reference from another; without one there is nothing to keep."""
    kept = stored(Options(reference=LINES, language="en"))
    assert kept.language == "en"
    assert isinstance(kept.reference, ReferenceDigest)
    assert kept.reference.lines == 2
    assert msgspec.convert(msgspec.to_builtins(kept), Options) == kept
    assert stored(kept) == kept
    assert stored(Options(reference=(Line(1, "One."), Line(3, "[Two]")))).reference != kept.reference
    assert stored(Options()) == Options()
