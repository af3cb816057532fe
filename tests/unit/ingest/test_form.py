"""The fields of a native form, as they come."""

import pytest

from common.jobs.options import Options
from services.ingest.form import Native
from services.ingest.problems import Problem


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
