"""What the engine is asked for: its part of a job's options, with what lies beside them: the lexicon's entries, the reference's lines."""

import msgspec

from common.jobs.options import Options
from common.lexicons.entries import Entries
from common.references.lines import Line
from services.transcriber import protocol


def asked(options: Options, lexicon: Entries, reference: tuple[Line, ...] = ()) -> protocol.Options:
    """The submitter's own hot words come first: a recogniser has room for some 200 tokens of them and leaves out the rest."""
    engines = msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(options, reference=reference)), protocol.Options)
    hotwords = [*([engines.hotwords] if engines.hotwords else []), *lexicon.hotwords]
    return msgspec.structs.replace(engines, hotwords=", ".join(hotwords) or None, corrections=lexicon.corrections)
