"""The `openai` engine against a scripted server: what is sent, what is made of the answer, and what each failure means."""

import os
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from common import transcript
from common.errors import VerbatimError
from services.transcriber import protocol
from services.transcriber.engine.heard import Heard, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples, decode
from services.transcriber.engine.recording import Task
from services.transcriber.engine.remote.recogniser import LONGEST_UNTIMED, RemoteRecogniser
from services.transcriber.engine.remote.server import Question, Server
from services.transcriber.engine.speech import find_speech
from services.transcriber.protocol import Done, Options, Transcribe, Waits
from tests.integration.engine.child import SECONDS, Child
from tests.integration.engine.scripted import Reply, Script, Scripted, Upload, error, in_turn
from tests.recordings import wav

Progress = Callable[[float], None]

KEY = "sk-this-is-the-secret-key"
TEXT = "Hello, this is Diane. In New Jersey!"
WORDS = [("Hello", 0.0, 0.4), ("this", 0.6, 0.8), ("is", 0.8, 0.9), ("Diane", 0.9, 1.3), ("In", 1.5, 1.6), ("New", 1.6, 1.8)]
WORDS += [("Jersey", 1.8, 2.2)]
VERBOSE = {
    "text": TEXT,
    "language": "english",
    "duration": 3.0,
    "words": [{"word": word, "start": start, "end": end} for word, start, end in WORDS],
    "segments": [
        {"id": 0, "start": 0.0, "end": 1.4, "text": " Hello, this is Diane.", "avg_logprob": -0.1},
        {"id": 1, "start": 1.4, "end": 2.4, "text": " In New Jersey!", "avg_logprob": -0.2},
    ],
}
QUESTION = Question("whisper-1", translate=False, language=None, prompt=None, temperature=0.0, form={})


@pytest.fixture(scope="session")
def samples(conversation: Path) -> Samples:
    return decode(conversation).samples


@pytest.fixture(scope="session")
def speech(samples: Samples) -> list[Span]:
    return find_speech(samples, ignore)


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Scripted]]:
    """Starts a server that follows a script."""
    servers: list[Scripted] = []

    def start(script: Script) -> Scripted:
        server = Scripted(script)
        server.__enter__()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__()


def ignore(_fraction: float) -> None:
    """Progress that nobody looks at."""


def loudness(samples: Samples, time: float) -> float:
    """Around `time`."""
    return float(samples[int((time - 0.02) * SAMPLE_RATE) : int((time + 0.02) * SAMPLE_RATE)].std())


def client(server: Scripted, pauses: list[float] | None = None, timeout: float = 60.0) -> Server:
    return Server(base_url=server.url, key=KEY, timeout=timeout, pause=(pauses if pauses is not None else []).append)


def hear(listener: RemoteRecogniser, samples: Samples, speech: list[Span], options: Options, on_progress: Progress = ignore) -> Heard:
    [heard] = listener.hear([Task(samples, speech, options, on_progress)], 8)
    return heard


def recogniser(server: Scripted, most_bytes: int = 25_000_000) -> RemoteRecogniser:
    return RemoteRecogniser(client(server), model="whisper-1", most_bytes=most_bytes, parallel=3)


@pytest.mark.parametrize(
    ("reply", "code", "transient"),
    [
        (Reply(error(f"Incorrect API key provided: {KEY}", "invalid_api_key"), 401), "engine_auth", False),
        (Reply(error("Not for you"), 403), "engine_auth", False),
        (Reply(error("You exceeded your current quota", "insufficient_quota"), 429), "engine_quota", False),
        (Reply(error("No such model", "model_not_found"), 404), "engine_not_found", False),
        (Reply(error("Too large"), 413), "engine_upload_too_large", False),
        (Reply(error(f"Audio file is too short, {KEY}"), 400), "engine_refused", False),
        (Reply(error("Slow down", "rate_limit_exceeded"), 429), "engine_rate_limited", True),
        (Reply(error("Slow down"), 429, (("Retry-After", "3600"),)), "engine_rate_limited", True),
        (Reply(error("Oh no"), 500), "engine_unavailable", True),
        (Reply(b"<html>bad gateway</html>", 502), "engine_unavailable", True),
        (Reply(b'{"text": "Hel'), "engine_answer_broken", True),
        (Reply({"text": 5}), "engine_answer_broken", True),
        (Reply(b'{"text": "\xff"}'), "engine_answer_broken", True),
        (Reply(["text"]), "engine_answer_broken", True),
        (Reply(error("The recording is empty.", "empty_audio")), "engine_refused", False),
        (Reply(error("The engine broke.", "server_error")), "engine_unavailable", True),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_failure_is_told_apart(serve: Callable[[Script], Scripted], reply: Reply, code: str, *, transient: bool) -> None:
    """Each has its code; those that pass are asked about again a few times first; the key is in none of them."""
    server, pauses = serve(lambda _upload: reply), list[float]()
    with pytest.raises(VerbatimError) as failure:
        client(server, pauses).ask(b"", QUESTION)
    assert (failure.value.code, failure.value.transient) == (code, transient)
    assert KEY not in str(failure.value)
    patient = transient and not reply.headers
    assert len(server.uploads) == (5 if patient else 1)
    assert pauses == ([0.5, 1.0, 2.0, 4.0] if patient else [])


def test_a_server_that_does_not_answer_is_given_up(serve: Callable[[Script], Scripted]) -> None:
    """Silence ends at the time limit, and so does an address at which nobody listens."""
    with pytest.raises(VerbatimError) as failure:
        client(serve(lambda _upload: Reply(None, hang=True)), timeout=0.05).ask(b"", QUESTION)
    assert (failure.value.code, failure.value.transient) == ("engine_timeout", True)
    with Scripted(lambda _upload: Reply(None)) as closed:
        gone = client(closed)
    with pytest.raises(VerbatimError) as failure:
        gone.ask(b"", QUESTION)
    assert (failure.value.code, failure.value.transient) == ("engine_unreachable", True)


def test_hiccups_are_sat_out(serve: Callable[[Script], Scripted]) -> None:
    """As long as the server asks for, else a little longer each time; then there is an answer."""
    pauses: list[float] = []
    busy = Reply(error("Slow down"), 429, (("Retry-After", "7"),))
    server = serve(in_turn([busy, Reply(error("Oh no"), 503), Reply(b"{"), Reply(VERBOSE)]))
    assert client(server, pauses).ask(b"", QUESTION).text == TEXT
    assert pauses == [7.0, 1.0, 2.0]


@pytest.mark.parametrize(("value", "pause"), [("0.25", 0.25), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", 0.5), ("-3", 0.0)])
def test_retry_after_is_read_in_all_its_forms(serve: Callable[[Script], Scripted], value: str, pause: float) -> None:
    """Seconds or a date; what is neither is as if it were not there."""
    pauses: list[float] = []
    server = serve(in_turn([Reply(error("Slow down"), 429, (("Retry-After", value),)), Reply(VERBOSE)]))
    client(server, pauses).ask(b"", QUESTION)
    assert pauses == [pause]


def test_a_recording_is_sent_in_parts_and_put_together(serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]) -> None:
    """No upload is larger than allowed; what is heard in each stands at its time in the recording; progress reaches its end."""
    server, progress = serve(lambda _upload: Reply(VERBOSE)), list[float]()
    heard = hear(recogniser(server, most_bytes=300_000), samples, speech, Options(), progress.append)
    assert len(server.uploads) >= 3
    assert all(len(upload.audio) <= 300_000 for upload in server.uploads)
    assert sum(upload.seconds for upload in server.uploads) == pytest.approx(speech[-1].end - speech[0].start, abs=5)
    firsts = [chunk for chunk in heard.chunks if chunk.words[0].text == " Hello,"]
    assert len(firsts) == len(server.uploads)
    assert firsts[0].span.start == speech[0].start
    assert all(loudness(samples, chunk.span.start) < 0.1 * samples.std() for chunk in firsts), "nobody is cut short"
    assert all(one.span.end <= next_.span.start for one, next_ in pairwise(heard.chunks))
    assert [word.text for word in heard.chunks[0].words] == [" Hello,", " this", " is", " Diane."]
    assert [(word.start, word.end) for word in heard.chunks[0].words][-1] == (0.9, 1.3)
    assert heard.chunks[1].words[0].start == pytest.approx(0.1)
    assert (heard.language, heard.language_confidence, heard.model) == ("en", 0.0, "openai whisper-1")
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1.0)


def test_a_part_that_is_refused_is_left_out_and_told(serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]) -> None:
    """One bad stretch does not cost the others, except where the job is strict or nothing else was heard."""
    speech = [span for span in speech if span.end < 30]

    def but_the_second(upload: Upload) -> Reply:
        return Reply(error("Something about this audio"), 400) if 10 < upload.seconds < 13 else Reply(VERBOSE)

    later = [Span(span.start + 60, span.end + 60) for span in speech[:1]]
    recording = np.tile(samples, 3)
    heard = hear(recogniser(serve(but_the_second)), recording, [*speech[:1], Span(30.0, 42.0), *later], Options())
    assert len({chunk.span.start for chunk in heard.chunks}) == 4
    assert [note.code for note in heard.notes] == ["part_refused"]
    assert heard.refused == (Span(30.0, 42.0),)
    assert heard.notes[0].message.startswith("12 seconds of the recording are missing.")
    with pytest.raises(VerbatimError) as failure:
        hear(recogniser(serve(but_the_second)), recording, [*speech[:1], Span(30.0, 42.0)], Options(strict=True))
    assert failure.value.code == "engine_refused"


def test_what_nobody_wants_any_more_is_not_waited_for(serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]) -> None:
    """Progress raises when the job is cancelled, and is told while a server takes its time."""

    def cancel(_fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hear(recogniser(serve(lambda _upload: Reply(None, hang=True))), samples, speech, Options(), cancel)


def test_what_a_model_cannot_do_is_asked_for_once(serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]) -> None:
    """A model without times is asked for its text, in uploads so short that sharing them out says something."""

    def text_only(upload: Upload) -> Reply:
        if upload.form["response_format"] == ["verbose_json"]:
            return Reply(error("response_format 'verbose_json' is not compatible with this model"), 400)
        return Reply({"text": "Something was said.", "logprobs": [{"token": "Something", "logprob": -0.5}]})

    server = serve(text_only)
    listener = recogniser(server)
    twice = [speech[0], Span(speech[0].start + 40, speech[0].end + 40)]
    longer = samples.repeat(2)
    heard = hear(listener, longer, twice, Options())
    assert [upload.form["response_format"][0] for upload in server.uploads][:2] == ["verbose_json", "json"]
    assert server.uploads[1].form["include[]"] == ["logprobs"]
    assert {word.start for chunk in heard.chunks for word in chunk.words} == {None}
    assert heard.chunks[0].words[0].score == pytest.approx(0.6065, abs=1e-3)
    before = len(server.uploads)
    hear(listener, longer, [Span(0.0, 59.0)], Options())
    assert {upload.form["response_format"][0] for upload in server.uploads[before:]} == {"json"}
    assert max(upload.seconds for upload in server.uploads[before:]) <= LONGEST_UNTIMED


def only_text(upload: Upload) -> Reply:
    """As some models: no times."""
    if upload.form["response_format"] == ["verbose_json"]:
        return Reply(error("response_format 'verbose_json' is not compatible with this model"), 400)
    return Reply({"text": "Something was said."})


def test_no_upload_is_long_before_it_is_known_whether_there_are_times(
    serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]
) -> None:
    """Not the first one either, whose words would be shared out over minutes; then a server that has times gets long ones."""
    server = serve(only_text)
    hear(recogniser(server), samples.repeat(2), [Span(0.0, 59.0)], Options())
    assert max(upload.seconds for upload in server.uploads) <= LONGEST_UNTIMED
    timing = serve(lambda _upload: Reply(VERBOSE))
    hear(recogniser(timing), samples.repeat(4), [Span(0.0, 100.0)], Options())
    assert [upload.seconds <= LONGEST_UNTIMED for upload in timing.uploads] == [True, False]


@pytest.mark.parametrize("first", [Reply({"text": " "}), Reply(error("Not this one"), 400)], ids=["empty", "refused"])
def test_what_a_server_can_do_is_not_told_by_an_upload_without_words(
    serve: Callable[[Script], Scripted], samples: Samples, first: Reply
) -> None:
    """The next ones are short too, until one has words; what that one shows counts."""

    def hear_after(first: Reply, script: Script) -> list[float]:
        sounds: list[bytes] = []

        def answer(upload: Upload) -> Reply:
            sounds.append(upload.audio)
            return first if upload.audio == sounds[0] else script(upload)

        server = serve(answer)
        assert hear(recogniser(server), samples.repeat(8), [Span(0.0, 220.0)], Options()).chunks
        return [upload.seconds for upload in server.uploads]

    assert max(hear_after(first, only_text)) <= LONGEST_UNTIMED
    timed = hear_after(first, lambda _upload: Reply(VERBOSE))
    assert max(timed[:2]) <= LONGEST_UNTIMED < max(timed)


def test_a_server_that_names_no_language_was_told_the_only_one_there_is(
    serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]
) -> None:
    """By itself, or as the only one that is allowed."""
    server = serve(lambda _upload: Reply({"text": "Etwas wurde gesagt."}))
    for options in (Options(language="de"), Options(allowed_languages=("de",))):
        heard = hear(recogniser(server), samples, speech, options)
        assert (heard.language, heard.language_confidence, {chunk.language for chunk in heard.chunks}) == ("de", 1.0, {"de"})
        assert server.uploads[-1].form["language"] == ["de"]


def test_what_nobody_said_is_taken_out(serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]) -> None:
    """And told, as where Whisper hears in this process."""
    doubted = {"start": 2.4, "end": 3.0, "text": " Thank you.", "avg_logprob": -1.5, "no_speech_prob": 0.9}
    looped = {"start": 3.0, "end": 6.0, "text": " And then I went home." * 9, "avg_logprob": -0.1, "no_speech_prob": 0.1}
    shown: list[str] = []
    server = serve(lambda _upload: Reply(VERBOSE | {"words": None, "segments": [doubted, looped]}))
    task = Task(samples, speech, Options(), ignore, lambda _span, text: shown.append(text))
    [heard] = recogniser(server).hear([task], 8)
    begin = speech[0].start
    assert shown == ["And then I went home."]
    assert ["".join(word.text for word in chunk.words).strip() for chunk in heard.chunks] == shown
    assert heard.invented == (Span(begin + 2.4, begin + 3.0),)
    assert heard.looped == (Span(begin + 3.0, begin + 6.0),)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's translations, which other servers keep
def test_options_reach_the_server(serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]) -> None:
    """Model, language, prompt with hot words and temperature are form fields; translating is another address."""
    server = serve(lambda _upload: Reply(VERBOSE))
    listener = recogniser(server)
    options = Options(model="large", language="de", prompt="Guten Tag.", hotwords="Diane", temperature=0.4)
    heard = hear(listener, samples, speech, options)
    english = hear(listener, samples, speech, Options(task="translate", language="ja"))
    asked, translated = server.uploads
    assert asked.path == "/v1/audio/transcriptions"
    assert asked.key == f"Bearer {KEY}"
    fields = {"model": ["large"], "language": ["de"], "prompt": ["Diane Guten Tag."], "temperature": ["0.4"]}
    assert asked.form == fields | {"response_format": ["verbose_json"], "timestamp_granularities[]": ["word", "segment"]}
    assert (heard.language, heard.language_confidence, heard.model) == ("de", 1.0, "openai large")
    assert (english.language, {chunk.language for chunk in english.chunks}) == ("ja", {"en"})
    assert translated.path == "/v1/audio/translations"
    assert "language" not in translated.form


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's translations, which other servers keep
def test_a_language_that_is_not_allowed_is_asked_about_again(
    serve: Callable[[Script], Scripted], samples: Samples, speech: list[Span]
) -> None:
    """Servers know no list of languages: where one detects another, that is told, and the first that is allowed is named."""

    def swedish_unless_told(upload: Upload) -> Reply:
        return Reply(VERBOSE | {"language": upload.form.get("language", ["swedish"])[0]})

    server = serve(swedish_unless_told)
    heard = hear(recogniser(server), samples, speech, Options(allowed_languages=("da", "no")))
    assert [upload.form.get("language") for upload in server.uploads] == [None, ["da"]]
    assert (heard.language, heard.foreign) == ("da", (Span(speech[0].start, speech[-1].end),))
    translated = hear(recogniser(server), samples, speech, Options(task="translate", allowed_languages=("da", "no")))
    assert (len(server.uploads), translated.foreign) == (3, ())


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, Scripted]]:
    """A child that is ready, and the server that hears for it."""
    with Scripted(lambda _upload: Reply(VERBOSE)) as server:
        environ = {"ENGINE": "openai", "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, "ALIGNMENT": "whisper", "LOG_LEVEL": "debug"}
        with Child(tmp_path_factory.mktemp("light"), **environ) as child:
            assert child.wait_ready().models["asr"] == "openai whisper-1"
            yield child, server


def test_the_child_transcribes_without_torch(light: tuple[Child, Scripted], conversation: Path, tmp_path: Path) -> None:
    """The same protocol and the same transcript from a light process, in whose log the key is not to be found."""
    child, server = light
    server.uploads.clear()
    (tmp_path / "silence.flac").write_bytes(conversation.read_bytes()[: 44 + 2 * 5 * SAMPLE_RATE])
    told = child.transcribe(conversation)
    assert [segment.text for segment in told.segments] == ["Hello, this is Diane.", "In New Jersey!"]
    assert told.language.code == "en"
    assert told.models["asr"] == "openai whisper-1"
    assert {word.timing for segment in told.segments for word in segment.words} == {"asr"}
    assert child.transcribe(tmp_path / "silence.flac").warnings[-1].code == "no_speech"
    assert len(server.uploads) == 1, "silence is not sent"
    server.script = lambda _upload: Reply(error(f"Incorrect API key provided: {KEY}", "invalid_api_key"), 401)
    failure = child.refuse(conversation)
    server.script = lambda _upload: Reply(VERBOSE)
    assert (failure.code, failure.transient) == ("engine_auth", False)
    assert "libtorch" not in Path(f"/proc/{child.process.pid}/maps").read_text()
    assert KEY not in child.log()


def test_what_was_heard_is_not_paid_twice_for_anothers_failure(light: tuple[Child, Scripted], conversation: Path, tmp_path: Path) -> None:
    """Short recordings that wait together are heard one by one: a server shares no batches, and one may be refused."""
    child, server = light
    recordings = [tmp_path / str(seconds) / f"{seconds}.wav" for seconds in (16, 20, 24, 28)]
    for recording in recordings:
        recording.parent.mkdir()
        recording.write_bytes(wav(conversation.read_bytes()[44:][: 2 * int(recording.stem) * SAMPLE_RATE]))
    sounds, ready = list[bytes](), threading.Event()

    def refuse_the_third(upload: Upload) -> Reply:
        sounds.append(upload.audio)
        ready.wait(SECONDS)
        return Reply(error("Not now", "invalid_api_key"), 401) if [upload.audio] == sounds[2:3] else Reply(VERBOSE)

    server.script = refuse_the_third
    requests = [child.submit(recording) for recording in recordings]
    for recording in recordings:
        child.until_decoded(recording)
    ready.set()
    answers = [child.until_answered(request)[-1] for request in requests]
    server.script = lambda _upload: Reply(VERBOSE)
    assert [isinstance(answer, Done) for answer in answers] == [True, True, False, True]
    assert len(sounds) == len(set(sounds)) == 4


def test_one_is_finished_while_the_next_is_heard(light: tuple[Child, Scripted], conversation: Path, tmp_path: Path) -> None:
    """A server hears, and leaves the processor free: who has been heard before the other is written says that it waits for that."""
    child, _ = light
    first = Transcribe("first", str(conversation), str(tmp_path / "first.json"), Options())
    pipe = tmp_path / "first.json.partial"
    os.mkfifo(pipe)  # whoever writes there waits for a reader
    child.write(protocol.encode(first) + b"\n")
    second = child.submit(conversation)
    while child.next_event() != Waits(second.id):
        pass
    assert transcript.decode(pipe.read_bytes()).segments
    answers = [event.id for event in child.until_answered(second) if isinstance(event, Done)]
    assert answers == [first.id, second.id]
