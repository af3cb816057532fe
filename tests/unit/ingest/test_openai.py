"""OpenAI's form, its streams and its letters for speakers, without a server."""

from typing import Any

import msgspec
import pytest

from common.jobs.options import Options
from common.jobs.partials import PartialSegment
from common.transcript import Language, Segment
from services.ingest.compat.whisperx_server import Wishes
from services.ingest.openai import errors
from services.ingest.openai.answers import Answers, segments
from services.ingest.openai.asked import Asked
from services.ingest.openai.models import Models
from services.ingest.openai.streaming import Deltas
from services.ingest.problems import Problem
from tests.transcribing import TALK


def asked(*fields: tuple[str, str]) -> Asked:
    found = Asked("transcribe", Models(("base",)))
    for name, text in fields:
        found.add(name, text)
    return found


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ([("model", "whisper-1"), ("language", ""), ("prompt", " ")], Options()),
        ([("model", "base"), ("language", "English")], Options(model="base", language="en")),
        ([("chunking_strategy", '{"type": "server_vad", "threshold": 0.3}')], Options(vad_threshold=0.3)),
        ([("chunking_strategy[silence_duration_ms]", "500"), ("chunking_strategy[type]", "server_vad")], Options(vad_min_silence=0.5)),
        ([("response_format", "diarized_json"), ("max_speakers", "2")], Options(diarize=True, max_speakers=2)),
        ([("enable_diarization", "1"), ("stored_output", "TRUE")], Options(diarize=True)),
        ([("languages", "de"), ("languages", "fr")], Options(allowed_languages=("de", "fr"))),
    ],
    ids=["nothing", "names", "object", "members", "diarized", "earlier", "list"],
)
def test_what_is_understood(fields: list[tuple[str, str]], options: Options) -> None:
    """Whatever client wrote the form, and in whatever order its fields come."""
    assert asked(*fields).options() == options
    assert asked(*reversed(fields)).options().diarize == options.diarize


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ([("model", "whisper-1"), ("model", "whisper-1")], "model"),
        ([("language", "en"), ("language[]", "de")], "language"),
        ([("chunking_strategy", "often")], "chunking_strategy"),
        ([("chunking_strategy", f'{{"type": {"[" * 9_000}')], "chunking_strategy"),
        ([("chunking_strategy[threshold]", "0.3")], "chunking_strategy"),
        ([("chunking_strategy", '{"type": "server_vad", "prefix_padding_ms": 6000}')], "chunking_strategy"),
        ([("languages", "de"), ("languages", "klingon")], "languages"),
        ([("stream", "yes")], "stream"),
        ([("task", "translate")], "task"),
        ([("timestamp_granularities[]", "letter")], "timestamp_granularities"),
        ([("stored_output", "true"), ("response_format", "srt")], "stored_output"),
    ],
    ids=[
        "twice",
        "twice-as-a-list",
        "chunks",
        "deep",
        "no-type",
        "too-long",
        "no-language",
        "flag",
        "task",
        "letters",
        "nothing-to-format",
    ],
)
def test_what_is_refused(fields: list[tuple[str, str]], field: str) -> None:
    """By the parameter's name."""
    with pytest.raises(Problem) as caught:
        asked(*fields).options()
    assert errors.document(caught.value)["error"]["param"] == field


@pytest.mark.parametrize(
    ("fields", "detached"),
    [
        ({"stored_output": "true"}, True),
        ({"stored_output": "false", "upload_presigned_url": "https://example.com/"}, False),
        ({"upload_presigned_url": "https://example.com/"}, True),
        ({"enable_diarization": "true"}, False),
    ],
    ids=["stored", "waits", "uploaded", "neither"],
)
def test_who_waits_for_the_earlier_service(fields: dict[str, str], detached: bool) -> None:  # noqa: FBT001 - a column of a table
    """`stored_output` decides; when it is not there, an address to upload to does."""
    wishes = Wishes()
    for name, text in fields.items():
        wishes.add(name, text)
    assert (wishes.given, wishes.detached) == (True, detached)


def test_deltas_never_go_back() -> None:
    """What comes late, or once more after a worker's death, is not told; what had not been told is, at the end."""
    deltas = Deltas()
    told = [
        deltas.heard(PartialSegment(start=start, end=start + 5, text=text))
        for start, text in ((0.0, "One."), (5.2, "Two."), (0.0, "One."), (3.0, "Late."), (9.9, "Three."), (15.0, ""))
    ]
    assert told == ["One.", " Two.", None, None, " Three.", None]
    later = msgspec.structs.replace(TALK, segments=(*TALK.segments, Segment(2, 15.0, 17.0, "Four.", 0.9, ())))
    assert list(deltas.rest(later)) == [" Four."]
    assert list(Deltas().rest(TALK)) == ["Hello, this is Diane.", " Hello Diane."]


def test_languages_are_named() -> None:
    """The transcript's first, then those of lines in another; none where nobody speaks."""
    german = (*TALK.segments, Segment(2, 15.0, 17.0, "Ja.", 0.9, (), language="de"))
    told = Answers(asked()).about(msgspec.structs.replace(TALK, segments=german))
    assert told == {"languages": [{"code": "en"}, {"code": "de"}]}
    nothing = msgspec.structs.replace(TALK, segments=(), language=Language("und", 0.0))
    assert Answers(asked()).about(nothing) == {"languages": []}


def test_speakers_have_letters() -> None:
    """In the order in which they speak, beyond Z too; who is not known is nobody's letter."""
    speakers = [*(f"S{number}" for number in range(28)), None, "S0"]
    lines = tuple(Segment(number, number, number + 1, "Yes.", 1.0, (), speaker=speaker) for number, speaker in enumerate(speakers))
    said: list[Any] = [line["speaker"] for line in segments(msgspec.structs.replace(TALK, segments=lines))]
    assert said[:2] == ["A", "B"]
    assert said[25:] == ["Z", "AA", "AB", "unknown", "A"]
