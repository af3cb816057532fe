"""Telling speakers apart with the real models, on a real conversation."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common import transcript
from common.transcript import Transcript
from services.transcriber.engine.batches import Batches
from services.transcriber.engine.channels import load as load_recording
from services.transcriber.engine.diarization.speech_turns import BUNDLED_NAME, loader
from services.transcriber.engine.diarization.windows import Windows
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.speakers import Turn
from services.transcriber.engine.speech import find_speech
from services.transcriber.engine.stages import Stages
from services.transcriber.protocol import Done, Event, Options, Progress
from tests.integration.engine.child import MODELS, Child

FRAME = 0.01


@pytest.fixture(scope="session")
def pipeline() -> Any:
    """The bundled pipeline, as the child loads it."""
    settings = EngineSettings(verbatim_model_dir=str(MODELS), diarization_model="bundled")
    loaded = loader(settings, Hardware("cpu", "int8", batch_size=8, threads=2))()
    assert loaded.name == BUNDLED_NAME
    return loaded.pipeline


@pytest.fixture(scope="session")
def ask(conversation: Path) -> Callable[..., Recording]:
    """The conversation, with options of one's own."""
    audio = load_recording(conversation, Options())
    speech = tuple(find_speech(audio.samples, lambda _fraction: None))

    def make(**options: Any) -> Recording:
        asked = Options(diarize=True, **options)
        return Recording(audio, speech, asked, Stages("job", list[Event]().append, asked))

    return make


@pytest.fixture(scope="session")
def told(pipeline: Any, ask: Callable[..., Recording]) -> list[Turn]:
    turns: list[Turn] = pipeline.turns(ask(), Batches(), lambda _fraction: None)
    return turns


def reference() -> list[Turn]:
    """Who speaks when, as people wrote it down."""
    spec = find_spec("pyannote.audio")
    assert spec is not None
    assert spec.origin is not None
    lines = (Path(spec.origin).parent / "sample" / "sample.rttm").read_text().splitlines()
    return [Turn(float(line.split()[3]), float(line.split()[3]) + float(line.split()[4]), line.split()[7]) for line in lines]


def activity(turns: list[Turn], seconds: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(speakers, frames)."""
    speakers = sorted({turn.speaker for turn in turns})
    active = np.zeros((len(speakers), round(seconds / FRAME)), np.bool_)
    for turn in turns:
        active[speakers.index(turn.speaker), round(turn.start / FRAME) : round(turn.end / FRAME)] = True
    return active


def error_rate(truth: list[Turn], found: list[Turn], seconds: float) -> float:
    """Diarization error rate of two speakers, overlaps counted, nothing forgiven."""
    true, guess = activity(truth, seconds), activity(found, seconds)
    assert len(true) == len(guess) == 2
    right = max((true & guess).sum(), (true & guess[::-1]).sum())
    return float((np.maximum(true.sum(axis=0), guess.sum(axis=0)).sum() - right) / true.sum())


def test_both_are_told_apart(told: list[Turn]) -> None:
    """Two speakers, and less than 6 % of the time wrong (5.2 % when this was written)."""
    assert len({turn.speaker for turn in told}) == 2
    assert error_rate(reference(), told, 30.0) <= 0.06


@pytest.mark.parametrize(("bounds", "count"), [({"max_speakers": 1}, 1), ({"min_speakers": 3}, 3)])
def test_bounds_are_kept(pipeline: Any, ask: Callable[..., Recording], bounds: dict[str, int], count: int) -> None:
    """As many speakers as the request says there are, whatever the model would have found."""
    assert len({turn.speaker for turn in pipeline.turns(ask(**bounds), Batches(), lambda _fraction: None)}) == count


def test_progress_reaches_its_end(pipeline: Any, ask: Callable[..., Recording]) -> None:
    """Fractions that never fall, in many steps."""
    fractions: list[float] = []
    pipeline.turns(ask(max_speakers=2), Batches(), fractions.append)
    assert fractions == sorted(fractions)
    assert len(fractions) >= 6
    assert 0.9 < fractions[-1] <= 1.0


def test_where_nobody_speaks_nobody_is_told(pipeline: Any, ask: Callable[..., Recording]) -> None:
    """A recording of which the detector found one moment, in silence, has no speakers."""
    assert pipeline.turns(ask()._replace(speech=(Span(1.0, 1.1),)), Batches(), lambda _fraction: None) is not None
    quiet = ask().audio
    silent = ask()._replace(audio=type(quiet)(np.zeros(SAMPLE_RATE, np.int16), damaged=False), speech=(Span(0.0, 1.0),))
    assert pipeline.turns(silent, Batches(), lambda _fraction: None) == []


def test_shared_embeddings_are_those_that_each_window_would_have(pipeline: Any, ask: Callable[..., Recording]) -> None:
    """Shared between windows and run elsewhere, they are nearly those of pyannote's own way, window by window, and far fewer."""
    from services.transcriber.engine.diarization.embedding import embed, plan  # noqa: PLC0415 - imports pyannote

    windows = Windows(ask().audio.samples[8 * SAMPLE_RATE : 19 * SAMPLE_RATE], 10 * SAMPLE_RATE, SAMPLE_RATE)
    batch = windows.stack(range(len(windows)))
    spoken = pipeline._segment(batch) > 0
    assert len(plan(windows, spoken)[0]) < spoken.any(axis=1).sum()
    shared = embed(windows, spoken, pipeline.networks.embedding, Batches(), lambda _done, _total: None)
    narrow = Batches()
    narrow.most = 3
    np.testing.assert_allclose(embed(windows, spoken, pipeline.networks.embedding, narrow, lambda _done, _total: None), shared, atol=1e-4)
    apart = pipeline._embed(windows, spoken, Batches(), lambda _done, _total: None)
    both = ~np.isnan(shared).any(axis=2) & ~np.isnan(apart).any(axis=2)
    cosine = (shared * apart).sum(axis=2) / np.linalg.norm(shared, axis=2) / np.linalg.norm(apart, axis=2)
    assert np.median(cosine[both]) > 0.9


def test_what_runs_on_a_gpu_tells_the_same(pipeline: Any, ask: Callable[..., Recording]) -> None:
    """There both networks are torch's. They hear the same speakers in the same frames as those of ONNX Runtime, and the same voices."""
    from services.transcriber.engine.diarization.embedding import embed  # noqa: PLC0415 - imports pyannote
    from services.transcriber.engine.diarization.pipeline import Diarizer, networks  # noqa: PLC0415

    other = Diarizer.adopt(pipeline, "cpu", networks(Path(), pipeline, "cuda", threads=1))
    assert other.networks.segmentation is None
    assert other.networks.embedding is not None
    windows = Windows(ask().audio.samples[8 * SAMPLE_RATE : 19 * SAMPLE_RATE], 10 * SAMPLE_RATE, SAMPLE_RATE)
    batch = windows.stack(range(len(windows)))
    spoken = pipeline._segment(batch) > 0
    assert ((other._segment(batch) > 0) == spoken).mean() > 0.999
    of = [pipeline.networks.embedding, other.networks.embedding]
    one, same = (embed(windows, spoken, network, Batches(), lambda _done, _total: None) for network in of)
    np.testing.assert_allclose(one, same, atol=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_is_asked_for_by_name() -> None:
    """Where the engine runs on one and there is none, speakers are not told apart on the CPU in silence."""
    settings = EngineSettings(verbatim_model_dir=str(MODELS), diarization_model="bundled")
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA"):
        loader(settings, Hardware("cuda", "float16", batch_size=16, threads=1))()


@pytest.mark.filterwarnings("ignore:\\s*torchcodec")  # pyannote's at its import, about a decoder that is not used
def test_clustering_is_bounded() -> None:
    """Of hours of embeddings a fixed number decides, spread evenly."""
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering  # noqa: PLC0415 - heavy
    from pyannote.core import SlidingWindow, SlidingWindowFeature  # noqa: PLC0415

    from services.transcriber.engine.diarization.clustering import MOST, bound  # noqa: PLC0415

    count = 3 * MOST
    spoken = SlidingWindowFeature(np.ones((count, 10, 1), np.float32), SlidingWindow(duration=10.0, step=1.0))
    _, windows, _ = bound(AgglomerativeClustering()).filter_embeddings(np.ones((count, 1, 4), np.float32), segmentations=spoken)
    assert len(windows) == MOST
    assert (windows[0], windows[-1]) == (0, count - 1)
    assert np.diff(windows).max() <= 4


@pytest.fixture(scope="session")
def asked(engine: Child, conversation: Path) -> tuple[list[Event], Transcript]:
    """All that the child says about a request for speakers, and its transcript."""
    request = engine.submit(conversation, Options(diarize=True, strict=True))
    events = engine.until_answered(request)
    return events, transcript.decode(Path(request.output).read_bytes())


@pytest.fixture(scope="session")
def diarized(asked: tuple[list[Event], Transcript]) -> Transcript:
    return asked[1]


def test_lines_are_of_one_speaker(diarized: Transcript) -> None:
    """Every word has its speaker, every line one; Diane is not who says Sheila's name; what is spoken over is marked."""
    assert all({word.speaker for word in segment.words} == {segment.speaker} for segment in diarized.segments)
    by = {speaker: " ".join(line.text for line in diarized.segments if line.speaker == speaker) for speaker in ("SPEAKER_00", "SPEAKER_01")}
    diane = next(speaker for speaker, text in by.items() if "This is Diane" in text)
    assert "Sheila" not in by[diane]
    assert "Chicago" in by[diane]
    assert diarized.segments[0].speaker == "SPEAKER_00"
    assert any(segment.overlap for segment in diarized.segments)
    assert not all(segment.overlap for segment in diarized.segments)


def test_speakers_are_counted(diarized: Transcript) -> None:
    """Seconds for each, and what told them apart; the stage has its time."""
    assert [speaker.id for speaker in diarized.speakers] == ["SPEAKER_00", "SPEAKER_01"]
    assert all(10 < speaker.seconds < 15 for speaker in diarized.speakers)
    assert diarized.models["diarization"] == BUNDLED_NAME
    assert diarized.timings["diarize"] > 0
    assert diarized.degradations == ()


def test_progress_leaves_room_for_it(asked: tuple[list[Event], Transcript]) -> None:
    """A request that asks for speakers has not nearly finished when its words are there; it says in the end how many there are."""
    events, _ = asked
    heard = [event.percent for event in events if isinstance(event, Progress) and event.stage == "transcribe"]
    told = [event.percent for event in events if isinstance(event, Progress) and event.stage == "diarize"]
    assert heard[-1] < 70 < told[-1]
    assert len(told) >= 4
    assert isinstance(events[-1], Done)
    assert events[-1].speakers == 2
