"""Hearing with the real model: several recordings at once, short windows, languages; what the model does not do on command is scripted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common.errors import PermanentError
from services.transcriber.engine.abreast import Abreast
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.hardware import Hardware, choose
from services.transcriber.engine.heard import Heard, Span
from services.transcriber.engine.listening import SMALLER_BATCH
from services.transcriber.engine.media import SAMPLE_RATE, Samples, decode
from services.transcriber.engine.models import Whisper
from services.transcriber.engine.recogniser import Recogniser, load_recogniser
from services.transcriber.engine.recording import Task
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.widths import Widths
from services.transcriber.protocol import Options
from tests.integration.engine.child import MODELS

ENGLISH, FRENCH = [("<|en|>", 0.98), ("<|fr|>", 0.01)], [("<|fr|>", 0.98), ("<|en|>", 0.01)]


class Watched:
    """The model, with a look at what it is given and a word in what it answers."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.model = SimpleNamespace(
            is_multilingual=True, detect_language=self._detect, generate=self._generate, align=real.model.align, device="cpu"
        )
        self.shapes: list[tuple[int, ...]] = []
        self.prompts: list[list[int]] = []
        self.guesses: Iterator[list[tuple[str, float]]] | None = None
        self.twice: Callable[[int], bool] = lambda _frames: False
        self.errors: Iterator[Exception | None] = iter(())
        self.misaligned: Iterator[Exception | None] = iter(())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def encode(self, features: Any) -> Any:
        self.shapes.append((len(features), features.shape[-1] // 100))
        if (error := next(self.errors, None)) is not None:
            raise error
        return self._real.encode(features)

    def find_alignment(self, *asked: Any) -> Any:
        if (error := next(self.misaligned, None)) is not None:
            raise error
        return self._real.find_alignment(*asked)

    def _detect(self, encoded: Any) -> Any:
        if self.guesses is None:
            return self._real.model.detect_language(encoded)
        return [next(self.guesses) for _ in range(encoded.shape[0])]

    def _generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> Any:
        self.prompts += prompts
        repeats = 2 if self.twice(encoded.shape[1] // 50) else 1
        results = self._real.model.generate(encoded, prompts, **options)
        return [
            SimpleNamespace(sequences_ids=[one.sequences_ids[0] * repeats], scores=one.scores, no_speech_prob=one.no_speech_prob)
            for one in results
        ]


@pytest.fixture(scope="module")
def loaded() -> Recogniser:
    [base] = MODELS.glob("whisper-base-*")
    return load_recogniser(
        Whisper("base", str(base), str(MODELS), bundled=True), Hardware("cpu", "int8", 4, 2, workers=2, most_workers=2), None
    )


@pytest.fixture
def model(loaded: Recogniser) -> Watched:
    return Watched(loaded._model)


@pytest.fixture
def recogniser(loaded: Recogniser, model: Watched) -> Recogniser:
    return Recogniser(model, loaded._defaults, Widths(0, lambda: 0), Abreast(1, 1, lambda: 0))


@pytest.fixture(scope="module")
def samples(conversation: Path) -> Samples:
    return decode(conversation).samples


def ignore(_fraction: float) -> None:
    """Progress that nobody looks at."""


def text(heard: Heard) -> str:
    return "".join(word.text for chunk in heard.chunks for word in chunk.words).strip()


def clip(samples: Samples, start: float, end: float, options: Options | None = None, on_progress: Callable[[float], None] = ignore) -> Task:
    part = samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    return Task(part, [Span(0.0, len(part) / SAMPLE_RATE)], options or Options(), on_progress)


def four_turns(samples: Samples, options: Options) -> Task:
    """Four chunks, half a minute apart."""
    speech: Sequence[Span] = [Span(30.0 * turn + 6.7, 30.0 * turn + 11.7) for turn in range(4)]
    return Task(np.tile(samples, 4), speech, options, ignore)


def test_recordings_are_heard_together(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """Three clips share one short batch; each gets its own words, language and progress."""
    progress: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    options = {"a": Options(), "b": Options(language="en"), "c": Options(allowed_languages=("en", "de"))}
    starts = {"a": 6.7, "b": 10.0, "c": 21.9}
    tasks = [clip(samples, starts[name], starts[name] + 5, options[name], progress[name].append) for name in starts]
    together = recogniser.hear(tasks, 4)
    assert model.shapes == [(3, 12)]
    assert [heard.language for heard in together] == ["en"] * 3
    assert together[1].language_confidence == 1.0
    assert all(report[-1] == 1.0 for report in progress.values())
    alone = [recogniser.hear([task], 4)[0] for task in tasks]
    assert [text(heard) for heard in together] == [text(heard) for heard in alone]
    assert all(0 <= word.start <= word.end <= 5 for heard in together for word in heard.chunks[0].words)  # type: ignore[operator]


def test_batches_are_heard_beside_each_other(loaded: Recogniser, samples: Samples) -> None:
    """Two at a time: in the same words, at the same times, with the same scores as one by one."""
    task = four_turns(samples, Options(language="en", beam_size=1))
    apart, abreast = (
        Recogniser(loaded._model, loaded._defaults, Widths(0, lambda: 0), Abreast(many, many, lambda: 0)).hear([task], 2) for many in (1, 2)
    )
    assert abreast == apart
    assert len(apart[0].chunks) > 2


def test_a_batch_is_bounded_in_seconds(loaded: Recogniser, model: Watched, samples: Samples) -> None:
    """However many chunks it may have."""
    recogniser = Recogniser(model, loaded._defaults, Widths(0, lambda: 0), Abreast(1, 1, lambda: 0), most_seconds=36)
    recogniser.hear([four_turns(samples, Options(language="en", beam_size=1, align=False))], 4)
    assert model.shapes == [(3, 12), (1, 12)]


@pytest.mark.parametrize("steps", range(3), ids=["encoding", "decoding", "word times"])
def test_who_gives_up_waits_for_no_more_than_a_step(recogniser: Recogniser, model: Watched, samples: Samples, steps: int) -> None:
    """What can be left undone of a batch is."""
    asked, aligned = iter(range(9)), list[int]()
    model.misaligned = (aligned.append(1) for _ in range(9))  # type: ignore[func-returns-value]

    def stay() -> None:
        if next(asked) == steps:
            raise Cancelled

    with pytest.raises(Cancelled) if steps < 2 else nullcontext():
        recogniser.hear([clip(samples, 6.7, 11.7)._replace(stay=stay)], 4)
    assert (len(model.shapes), len(model.prompts), len(aligned)) == [(1, 0, 0), (1, 1, 0), (1, 1, 1)][steps]


def test_a_loop_is_heard_again_in_the_longest_window(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """A short window that makes the model repeat itself costs that chunk a second hearing, and no other."""
    model.twice = lambda seconds: seconds < 30
    shown: list[str] = []
    task = clip(samples, 6.7, 11.7, Options(align=False))
    [heard] = recogniser.hear([task._replace(on_heard=lambda _span, text: shown.append(text))], 4)
    assert model.shapes == [(1, 12), (1, 30)]
    assert text(heard).lower().count("diane") <= 1
    assert shown == [text(heard)], "the loop is shown to nobody"


def test_each_chunk_is_heard_in_its_own_language(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """Two languages in one recording: chunks are prompted in theirs, and have their words and times."""
    model.guesses = iter([ENGLISH, ENGLISH, FRENCH, FRENCH])
    [heard] = recogniser.hear([four_turns(samples, Options())], 4)
    assert [chunk.language for chunk in heard.chunks] == ["en", "en", "fr", "fr"]
    assert heard.language_confidence == pytest.approx(0.98)
    assert len({tuple(prompt) for prompt in model.prompts}) == 2
    assert all(chunk.words and chunk.words[0].start is not None for chunk in heard.chunks)


def test_a_language_that_the_rest_speaks_against_is_taken_back(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """The first batch looked French; what follows does not. It is heard again, in English."""
    unsure = [("<|fr|>", 0.5), ("<|en|>", 0.4)]
    model.guesses = iter([unsure, ENGLISH, ENGLISH, ENGLISH])
    [heard] = recogniser.hear([four_turns(samples, Options(align=False))], 1)
    assert [chunk.language for chunk in heard.chunks] == ["en"] * 4
    assert len(model.prompts) == 5


def test_only_allowed_languages_are_found(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """English speech, when only German and French may be meant, is one of these; a single one is taken at its word. Both is told."""
    [heard] = recogniser.hear([clip(samples, 6.7, 11.7, Options(allowed_languages=("de", "fr"), align=False))], 4)
    assert heard.language in ("de", "fr")
    assert len(heard.foreign) == 1
    [heard] = recogniser.hear([clip(samples, 6.7, 11.7, Options(allowed_languages=("de",), align=False))], 4)
    assert (heard.language, heard.language_confidence, len(heard.foreign)) == ("de", 1.0, 1)


def test_a_language_that_was_named_is_held_against_a_sample(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """Three chunks are enough to notice that it is another one, which changes nothing in what is heard."""
    model.guesses = iter([ENGLISH, FRENCH, ENGLISH])
    [heard] = recogniser.hear([four_turns(samples, Options(language="en", align=False))], 2)
    assert [chunk.language for chunk in heard.chunks] == ["en"] * 4
    assert (heard.foreign, next(model.guesses, None)) == ((heard.chunks[1].span,), None)


def test_where_something_is_to_be_redacted_every_chunk_is_held_against_it(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """In another language it would not be found, and the shortest chunk may hold it."""
    model.guesses = iter([FRENCH] * 4)
    [heard] = recogniser.hear([four_turns(samples, Options(language="en", align=False, redact=("phone",)))], 2)
    assert heard.foreign == tuple(chunk.span for chunk in heard.chunks)


def test_a_translation_is_english(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """The recording's language is told as it was found; the words that come out are English."""
    model.guesses = iter([FRENCH])
    [heard] = recogniser.hear([clip(samples, 6.7, 11.7, Options(task="translate", align=False))], 4)
    assert heard.language == "fr"
    assert [chunk.language for chunk in heard.chunks] == ["en"]
    tokenizer = recogniser._tokenizer("fr", "translate")
    assert tokenizer.translate in model.prompts[0]


def test_a_language_that_nobody_knows_is_refused(recogniser: Recogniser, samples: Samples) -> None:
    """Asked for by name or as the only ones allowed. Cantonese is one that later models know, and this one does not."""
    for code in ("tlh", "yue"):
        for options in (Options(language=code), Options(allowed_languages=(code, "qya"))):
            with pytest.raises(PermanentError, match=f"unsupported_language: .*{code}"):
                recogniser.hear([clip(samples, 6.7, 11.7, options)], 4)


def test_memory_that_is_short_makes_batches_smaller(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """What does not fit is heard in two halves, in the same words, and the transcript says so; the next request has the full size."""
    task = four_turns(samples, Options(language="en"))
    [whole] = recogniser.hear([task], 4)
    full = model.shapes[0][0]
    assert full > 1
    model.shapes.clear()
    model.errors = iter([RuntimeError("CUDA failed with error out of memory")])
    [narrow] = recogniser.hear([task], 4)
    assert [size for size, _ in model.shapes[:2]] == [full, full // 2]
    assert text(narrow) == text(whole)
    assert narrow.notes == (SMALLER_BATCH,)
    model.shapes.clear()
    assert recogniser.hear([task], 4)[0].notes == ()
    assert model.shapes[0][0] == full


def test_a_chunk_that_cannot_be_heard_is_left_out(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """Its neighbours are heard alone, it is once more in the longest window, and then its place is told."""
    task = four_turns(samples, Options(language="en"))
    bad = ValueError("bad sound")
    model.errors = iter([bad, bad, None, None, None, bad])
    [heard] = recogniser.hear([task], 4)
    assert model.shapes == [(4, 12), (1, 12), (1, 12), (1, 12), (1, 12), (1, 30)]
    assert len(heard.lost) == 1
    assert len(heard.chunks) == 3
    assert heard.lost[0] not in [chunk.span for chunk in heard.chunks]


def test_a_chunk_that_can_be_heard_the_second_time_is_not_lost(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """Its words are in the transcript, and the loop which the first time had come to is not."""
    model.twice = lambda seconds: seconds < 30
    model.misaligned = iter([ValueError("odd")])
    [heard] = recogniser.hear([clip(samples, 6.7, 11.7, Options(language="en"))], 4)
    assert heard.lost == ()
    assert text(heard).lower().count("neither did i") == 1


def test_a_second_hearing_that_fails_changes_nothing(recogniser: Recogniser, model: Watched, samples: Samples) -> None:
    """The chunk's words, language and loops are those of the first, together."""
    model.guesses = iter([[("<|fr|>", 0.5), ("<|en|>", 0.4)], ENGLISH, ENGLISH, ENGLISH])
    model.misaligned = iter([None, None, None, None, ValueError("odd")])
    [heard] = recogniser.hear([four_turns(samples, Options())], 1)
    assert len(model.prompts) == 5
    assert [chunk.language for chunk in heard.chunks] == ["fr", "en", "en", "en"]
    assert all(chunk.words for chunk in heard.chunks)
    assert heard.lost == ()


def test_nothing_is_written_over_silence(recogniser: Recogniser) -> None:
    """Whisper likes to thank for watching; without a detector before it, nobody else would notice."""
    silence = np.zeros(8 * SAMPLE_RATE, np.int16)
    [heard] = recogniser.hear([Task(silence, [Span(0.0, 8.0)], Options(language="en"), ignore)], 1)
    assert text(heard) == ""


def test_what_a_gpu_is_asked_for() -> None:
    """On CUDA Whisper is loaded onto the first visible device, in half precision, from the hub's name and into our cache."""
    asked: dict[str, Any] = {}

    def make(source: str, **how: Any) -> Any:
        asked.update(how, source=source)
        return SimpleNamespace(model=SimpleNamespace(is_multilingual=True))

    hardware = choose(EngineSettings(whisper_threads=2), 1)
    load_recogniser(Whisper("large-v3", "large-v3", "/cache/hub", bundled=False), hardware, "token", make)
    assert asked == {
        "source": "large-v3",
        "device": "cuda",
        "compute_type": "float16",
        "cpu_threads": 2,
        "num_workers": 1,
        "download_root": "/cache/hub",
        "use_auth_token": "token",
    }
