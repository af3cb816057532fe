"""What servers write that nobody said."""

import numpy as np

from services.transcriber.engine.heard import Chunk, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples
from services.transcriber.engine.remote.answer import Said, decode, said
from services.transcriber.engine.remote.guarded import Guarded, guard
from services.transcriber.engine.remote.parts import Part

PART = Part(Span(10.0, 20.0), (Span(10.0, 20.0),))
NOISE: Samples = np.random.default_rng(3).normal(0, 3_000, 30 * SAMPLE_RATE).astype(np.int16)


def guarded(answer: str, samples: Samples = NOISE) -> Guarded:
    return guard(said(decode(answer), PART, "en"), samples)


def texts(chunks: list[Chunk]) -> list[str]:
    return ["".join(word.text for word in chunk.words).strip() for chunk in chunks]


def test_what_the_server_doubts_is_dropped() -> None:
    """By Whisper's own thresholds, where the server tells both numbers; a high one alone is often found over clear speech."""
    found = guarded("""{"text": "", "segments": [
        {"start": 0, "end": 2, "text": "One.", "avg_logprob": -0.2, "no_speech_prob": 0.9},
        {"start": 2, "end": 4, "text": "Two.", "avg_logprob": -1.4, "no_speech_prob": 0.1},
        {"start": 4, "end": 6, "text": "Thank you.", "avg_logprob": -1.4, "no_speech_prob": 0.9},
        {"start": 6, "end": 8, "text": "Four.", "no_speech_prob": 0.9}]}""")
    assert texts(found.chunks) == ["One.", "Two.", "Four."]
    assert (found.invented, found.looped) == ([Span(14.0, 16.0)], [])


def test_text_over_silence_is_dropped() -> None:
    """Where nothing can be heard nobody said anything, whatever a server knows of times."""
    silence = NOISE.copy()
    silence[14 * SAMPLE_RATE : 20 * SAMPLE_RATE] = 0
    found = guarded(
        '{"text": "", "segments": [{"start": 0, "end": 4, "text": "One."}, {"start": 4, "end": 10, "text": "Thank you."}]}', silence
    )
    assert (texts(found.chunks), found.invented) == (["One."], [Span(14.0, 20.0)])
    assert guarded('{"text": "Thank you."}', np.zeros_like(NOISE)).invented == [PART.span]


def test_a_loop_is_cut_down() -> None:
    """With and without times."""
    found = guarded('{"text": "' + "And then I went home. " * 6 + 'Bye."}')
    assert (texts(found.chunks), found.looped) == (["And then I went home. Bye."], [PART.span])
    [kept] = said(decode('{"text": "No, no, no."}'), PART, "en")
    assert guard([kept, Said(kept.chunk, doubted=True)], NOISE) == Guarded([kept.chunk], [PART.span], [])


def test_what_lies_behind_the_upload_is_not_taken_for_silence() -> None:
    """Servers time words there that were said before."""
    found = guarded('{"text": "", "segments": [{"start": 12, "end": 14, "text": "One."}]}')
    assert texts(found.chunks) == ["One."]
