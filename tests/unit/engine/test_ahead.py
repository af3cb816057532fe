"""What is made ready ahead, and who is taken up with whom."""

import threading
from queue import Empty, SimpleQueue

import numpy as np
import pytest

from common.errors import PermanentError
from services.transcriber.engine.ahead import MOST_TOGETHER, Ahead, Turn
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import Audio
from services.transcriber.protocol import Options, Transcribe

SECONDS = 60
LONG, SHORT = 200, 5


class Decoder:
    """Recordings as long as their names say, all of it speech; tells which were decoded."""

    def __init__(self) -> None:
        self.decoded: SimpleQueue[str] = SimpleQueue()

    def decode(self, request: Transcribe) -> Audio:
        self.decoded.put(request.id)
        if "broken" in request.id:
            raise ValueError(request.id)
        return Audio(np.zeros(int(request.id.split("-")[1]) * 16_000, np.int16), damaged=False)

    def find_speech(self, request: Transcribe, audio: Audio) -> tuple[Span, ...]:
        if "mumbled" in request.id:
            raise PermanentError("cancelled", "Nobody waits.")
        return (Span(0.0, audio.seconds),)

    def told(self, count: int) -> list[str]:
        return [self.decoded.get(timeout=SECONDS) for _ in range(count)]

    def nothing_more(self) -> bool:
        try:
            return not self.decoded.get(timeout=0.1)
        except Empty:
            return True


def ahead(decoder: Decoder, *requests: Transcribe, held: int = 2, together: int = MOST_TOGETHER) -> Ahead:
    queue: SimpleQueue[Transcribe] = SimpleQueue()
    for request in requests:
        queue.put(request)
    return Ahead(queue, decoder.decode, decoder.find_speech, held=held, together=together)


def request(name: str, options: Options | None = None, *, alone: bool = False) -> Transcribe:
    return Transcribe(name, name, f"{name}.json", options or Options(), alone=alone)


def names(turns: list[Turn]) -> list[str]:
    return [turn.request.id for turn in turns]


def after_decoding(decoder: Decoder, turns: Ahead, count: int) -> list[str]:
    """The company of the first request, when `count` requests are ready and the next one is being decoded."""
    decoder.told(count + 1)
    return names(turns.company(turns.take()))


def test_the_next_recording_is_decoded_during_this_ones_work() -> None:
    """While the engine is busy with one long recording, the next one is decoded, and no third one is."""
    decoder = Decoder()
    turns = ahead(decoder, *(request(f"{name}-{LONG}") for name in "abc"))
    turn = turns.take()
    assert decoder.told(2) == [f"a-{LONG}", f"b-{LONG}"]
    assert decoder.nothing_more()
    assert turn.speech.result(SECONDS).result == (Span(0.0, LONG),)
    assert turns.company(turn) == []
    turns.done(turn)
    assert decoder.told(1) == [f"c-{LONG}"]


def test_where_one_is_finished_beside_another_three_are_held() -> None:
    """The one that is finished, the one that is heard, and the next."""
    decoder = Decoder()
    ahead(decoder, *(request(f"{name}-{LONG}") for name in "abcd"), held=3)
    assert decoder.told(3) == [f"{name}-{LONG}" for name in "abc"]
    assert decoder.nothing_more()


def test_many_short_recordings_are_decoded_ahead() -> None:
    """Until they make as much as one of five minutes."""
    decoder = Decoder()
    ahead(decoder, *(request(f"{number}-30") for number in range(20)))
    decoder.told(10)
    assert decoder.nothing_more()


def test_short_requests_keep_each_other_company() -> None:
    """Those that are decoded by now and asked for alike, in their order; whatever the language, the speakers or the words to be masked."""
    decoder = Decoder()
    turns = ahead(
        decoder,
        request(f"a-{SHORT}"),
        request(f"b-{SHORT}", Options(language="fr")),
        request(f"c-{LONG}"),
        request(f"d-{SHORT}", Options(prompt="Yes.")),
        request(f"e-{SHORT}", Options(task="translate")),
        request(f"f-{SHORT}", alone=True),
        request(f"broken-{SHORT}"),
        request(f"g-{SHORT}", Options(diarize=True, allowed_languages=("en",))),
        request(f"last-{LONG}"),
    )
    assert after_decoding(decoder, turns, 8) == [f"b-{SHORT}", f"g-{SHORT}"]
    assert turns.take().request.id == f"c-{LONG}"


def test_a_request_is_forgotten_when_nothing_is_done_for_it_any_more() -> None:
    """One that was cancelled may have been answered while it is still decoded: so long it is known that nobody waits for it."""
    proceed, forgotten = threading.Event(), SimpleQueue[str]()

    def decode(_request: Transcribe) -> Audio:
        proceed.wait(SECONDS)
        raise PermanentError("cancelled", "Nobody waits.")

    queue: SimpleQueue[Transcribe] = SimpleQueue()
    turns = Ahead(queue, decode, Decoder().find_speech, forget=lambda request: forgotten.put(request.id))
    queue.put(request("a"))
    turns.done(turns.take())
    assert forgotten.empty()
    proceed.set()
    assert forgotten.get(timeout=SECONDS) == "a"


def test_a_company_is_bounded() -> None:
    """However many wait."""
    decoder = Decoder()
    turns = ahead(decoder, *(request(f"{number}-1") for number in range(40)))
    assert len(after_decoding(decoder, turns, 39)) == MOST_TOGETHER - 1


def test_where_nothing_is_shared_nobody_has_company() -> None:
    """Such as on a server, which hears each upload by itself."""
    decoder = Decoder()
    turns = ahead(decoder, *(request(f"{number}-1") for number in range(3)), together=1)
    assert after_decoding(decoder, turns, 2) == []


@pytest.mark.parametrize(
    "first",
    [request(f"a-{LONG}"), request(f"a-{SHORT}", alone=True), request(f"broken-{SHORT}"), request(f"mumbled-{SHORT}")],
)
def test_some_have_no_company(first: Transcribe) -> None:
    """A long recording, one that is suspected of having killed a child, one that cannot be made ready."""
    decoder = Decoder()
    turns = ahead(decoder, first, request(f"b-{SHORT}"), request(f"c-{SHORT}"))
    assert after_decoding(decoder, turns, 1) == []
