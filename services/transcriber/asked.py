"""What the engine is asked for: its part of a job's options, with what the job's lexicon adds to them."""

import msgspec

from common.jobs.options import Options
from common.lexicons.entries import Entries
from services.transcriber import protocol


def asked(options: Options, lexicon: Entries) -> protocol.Options:
    """The submitter's own hot words come first: a recogniser has room for some 200 tokens of them and leaves out the rest."""
    engines = msgspec.convert(msgspec.to_builtins(options), protocol.Options)
    hotwords = [*([engines.hotwords] if engines.hotwords else []), *lexicon.hotwords]
    return msgspec.structs.replace(engines, hotwords=", ".join(hotwords) or None, corrections=lexicon.corrections)
