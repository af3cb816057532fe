"""What the engine is asked for."""

import msgspec

from common.jobs.options import Options, stored
from common.lexicons.entries import Correction, Entries
from common.references.lines import Line
from services.transcriber import protocol
from services.transcriber.asked import asked

LEXICON = Entries(corrections=(Correction("meier", "Mayer"),), hotwords=("Mayer", "kubectl"))


def test_the_engine_gets_its_part_of_the_options() -> None:
    """All that it knows, under the same names; nothing of webhooks, metadata or priorities."""
    options = Options(language="de", beam_size=2, redact=("email",), metadata={"a": "b"}, priority="high")
    assert asked(options, Entries()) == protocol.Options(language="de", beam_size=2, redact=("email",))
    known = {field.name for field in msgspec.structs.fields(Options)}
    assert {field.name for field in msgspec.structs.fields(protocol.Options)} - {"corrections"} <= known


def test_the_lines_of_a_reference_come_from_beside_the_row() -> None:
    """The row has only their digest."""
    lines = (Line(1, "One."),)
    assert asked(stored(Options(reference=lines, topics=True)), Entries(), lines) == protocol.Options(reference=lines, topics=True)


def test_a_lexicon_adds_to_them() -> None:
    """Its hot words follow the submitter's own; its corrections go along."""
    assert asked(Options(hotwords="Meyer, etcd"), LEXICON).hotwords == "Meyer, etcd, Mayer, kubectl"
    assert asked(Options(), LEXICON) == protocol.Options(hotwords="Mayer, kubectl", corrections=LEXICON.corrections)
