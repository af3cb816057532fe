"""Options as clients write them: form fields are text, JSON has types; what cannot be kept or makes no sense is refused by name."""

from typing import Any

import pytest

from common.jobs.options import OptionError, Options, convert, parse


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"language": "de", "beam_size": "3"}, Options(language="de", beam_size=3)),
        ({"language": None, "prompt": None}, Options()),
        ({"allowed_languages": "en, de"}, Options(allowed_languages=("en", "de"))),
        ({"allowed_languages": ["en"], "redact": ["email"]}, Options(allowed_languages=("en",), redact=("email",))),
        ({"redact": ""}, Options()),
        ({"metadata": '{"desk": "3"}'}, Options(metadata={"desk": "3"})),
        ({"prompt": "null"}, Options(prompt="null")),
        ({"expires_in": "0", "webhook_url": "https://a.b/"}, Options(expires_in=0, webhook_url="https://a.b/")),
    ],
)
def test_what_is_understood(values: dict[str, Any], expected: Options) -> None:
    """Text and JSON say the same; null is the same as leaving an option out."""
    assert parse(values) == expected


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"beam_size": None}, "beam_size"),
        ({"beam_size": "null"}, "beam_size"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"metadata": {"a\0": "b"}}, "metadata"),
        ({"metadata": '{"a": "\\u0000"}'}, "metadata"),
        ({"metadata": {str(number): "" for number in range(51)}}, "metadata"),
        ({"allowed_languages": "en,xx"}, "allowed_languages"),
        ({"language": "fr", "allowed_languages": "en,de"}, "language"),
        ({"min_speakers": 2}, "min_speakers"),
        ({"diarize": True, "min_speakers": 3, "max_speakers": 2}, "min_speakers"),
        ({"redact": "weather"}, "redact"),
        ({"expires_in": "-1"}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),  # nothing is kept after delivery, and nothing would be delivered
        ({"model": "a b"}, "model"),
        ({"tempo": 1}, "tempo"),
    ],
)
def test_what_is_refused(values: dict[str, Any], field: str) -> None:
    """The refusal names the option."""
    with pytest.raises(OptionError) as caught:
        parse(values)
    assert caught.value.field == field


def test_an_option_by_itself() -> None:
    """One that needs another is in order as long as nobody knows the others; one that is wrong whatever they are is not."""
    assert convert("min_speakers", "2") == 2
    with pytest.raises(OptionError):
        convert("allowed_languages", "en,xx")
