"""Options as clients write them: form fields are text, JSON has types; what cannot be kept or makes no sense is refused by name."""

from typing import Any

import pytest

from common.jobs.options import OptionError, Options, convert, parse

HOOK = "https://example.com/hook"
SIGNED = "https://bucket.example.com/a%20b+c/%2F?X-Amz-Credential=AK%2F20261121&X-Amz-Signature=0f~_-&x=%zz"


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
        ({"vad": "off", "diarize": "On"}, Options(vad=False, diarize=True)),
        ({"expires_in": "0", "webhook_url": "https://a.b/"}, Options(expires_in=0, webhook_url="https://a.b/")),
        ({"expires_in": 0, "upload_presigned_url": SIGNED}, Options(expires_in=0, upload_presigned_url=SIGNED)),
        ({"webhook_url": HOOK, "webhook_payload": "full"}, Options(webhook_url=HOOK, webhook_payload="full")),
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
        ({"webhook_url": "https://[::1:80/x"}, "webhook_url"),
        ({"webhook_url": "https://example.com:99999/"}, "webhook_url"),
        ({"webhook_url": "https://:80/"}, "webhook_url"),
        ({"upload_presigned_url": "https://a]b/x"}, "upload_presigned_url"),
        ({"metadata": {"a\0": "b"}}, "metadata"),
        ({"metadata": '{"a": "\\u0000"}'}, "metadata"),
        ({"metadata": {str(number): "" for number in range(51)}}, "metadata"),
        ({"allowed_languages": "en,xx"}, "allowed_languages"),
        ({"language": "fr", "allowed_languages": "en,de"}, "language"),
        ({"min_speakers": 2}, "min_speakers"),
        ({"diarize": True, "min_speakers": 3, "max_speakers": 2}, "min_speakers"),
        ({"redact": "weather"}, "redact"),
        ({"vad": "loud"}, "vad"),
        ({"reference": '[{"number":' + "[" * 5_000}, "reference"),
        ({"expires_in": "-1"}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),  # nothing is kept after delivery, and nothing would be delivered
        ({"model": "a b"}, "model"),
        ({"tempo": 1}, "tempo"),
        ({"webhook_payload": "full"}, "webhook_payload"),
        ({"webhook_url": HOOK, "webhook_payload": "fat"}, "webhook_payload"),
        ({"upload_presigned_url": "s3://bucket/key"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://me:hunter2@example.com/key"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com/key#part"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com/a key"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com/a\u00fc"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com/a\x7f"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com/key\n"}, "upload_presigned_url"),
        ({"upload_presigned_url": "https://example.com/" + "x" * 8_000}, "upload_presigned_url"),
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
