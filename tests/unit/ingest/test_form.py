"""The fields of a native form, as they come."""

from collections.abc import AsyncIterator

import pytest

from common.jobs.options import Options
from services.ingest.form import Form, Native
from services.ingest.problems import Problem
from services.ingest.recording import discard
from tests.recordings import wav


def test_fields_come_in_any_order() -> None:
    """One that needs another may come first."""
    fields = Native()
    fields.add("min_speakers", "2")
    fields.add("diarize", "true")
    assert fields.options() == Options(diarize=True, min_speakers=2)


def test_what_is_refused_at_once() -> None:
    """What is wrong by itself, and what came before, is refused before the recording has travelled."""
    fields = Native()
    fields.add("beam_size", "2")
    for name, text, code in (("language", "klingon", "invalid_option"), ("beam_size", "3", "duplicate_field")):
        with pytest.raises(Problem) as caught:
            fields.add(name, text)
        assert (caught.value.code, caught.value.extra["field"]) == (code, name)


BODY = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav(bytes(64)) + b"\r\n--b--\r\n"


async def chunks(*each: bytes) -> AsyncIterator[bytes]:
    for chunk in each:
        yield chunk


async def test_a_body_may_be_cut_anywhere() -> None:
    """The network cuts as it likes, also between the last boundary and the end of its line, or after it."""
    for place in (1, 3, len(BODY) - 2, len(BODY) - 1):
        received = await Form(chunks(BODY[:place], BODY[place:]), "b", Native()).receive(discard)
        assert received.source.size == len(wav(bytes(64)))
    await Form(chunks(BODY, b"what comes after the end"), "b", Native()).receive(discard)


async def test_a_body_begins_with_its_boundary() -> None:
    """One that has none is refused before all of it has travelled."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 2**16
            yield bytes(2**16)

    with pytest.raises(Problem) as caught:
        await Form(endless(), "b", Native()).receive(discard)
    assert caught.value.code == "malformed_multipart"
    assert taken == 2**16
