"""What makes no difference to a transcript is what the engine is not asked."""

from common.jobs.options import ASIDE, NAMES
from services.transcriber import protocol


def test_every_option_is_the_engines_or_aside() -> None:
    """A new option is one or the other; a lexicon reaches the engine as what it holds."""
    engines = set(protocol.Options.__struct_fields__) - {"corrections"} | {"lexicon_id"}
    assert set(NAMES) - engines == set(ASIDE)
