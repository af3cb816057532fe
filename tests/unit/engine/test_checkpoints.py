"""What a stage came to, kept for a later attempt."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import pytest

from services.transcriber.engine.checkpoints import NONE, Checkpoints, fingerprints, tools
from services.transcriber.engine.heard import HeardWord
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.protocol import Options, Stage, Transcribe

MODELS = {"asr": "whisper base (int8)", "vad": "silero v6"}


def checkpoints(folder: Path, mark: str = "mark", least: float = 0.0, told: Callable[[Stage], None] = print) -> Checkpoints:
    return Checkpoints(folder, {"align": mark, "diarize": mark}, least, told)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """Whoever stores it is told once it is whole."""
    told: list[Stage] = []
    checkpoints(tmp_path, told=told.append).save("align", [1, 2], 1.0)
    assert told == ["align"]
    assert checkpoints(tmp_path).load("align", list[int]) == [1, 2]
    assert checkpoints(tmp_path).load("diarize", list[int]) is None


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    """The models' results are full of them."""
    checkpoints(tmp_path).save("align", [np.float64(0.5), np.float32(0.25), np.int64(3)], 1.0)
    assert checkpoints(tmp_path).load("align", list[float]) == [0.5, 0.25, 3.0]


def test_one_of_another_engine_is_passed_over(tmp_path: Path) -> None:
    """Another model, other options or another library would have come to something else."""
    checkpoints(tmp_path).save("align", [1], 1.0)
    assert checkpoints(tmp_path, "another").load("align", list[int]) is None


def test_one_that_was_made_of_something_else_is_passed_over(tmp_path: Path) -> None:
    """The stage before it came to something else this time; written down and read again, the same is the same."""
    heard = (HeardWord(" one", float(np.float32(0.9)), np.float64(0.1), np.float64(0.34)),)
    checkpoints(tmp_path).save("align", [1], 1.0, made_of=heard)
    again = msgspec.json.decode(msgspec.json.encode(heard, enc_hook=float), type=tuple[HeardWord, ...])
    assert checkpoints(tmp_path).load("align", list[int], again) == [1]
    assert checkpoints(tmp_path).load("align", list[int], (*again, HeardWord(" two", 0.9))) is None
    assert checkpoints(tmp_path).load("align", list[int]) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda _data: b"",
        lambda data: data[:-5],
        lambda data: data.replace(b"[1]", b"[7]"),
        lambda _data: b"[]",
        lambda data: bytes(len(data)),
    ],
    ids=["empty", "cut short", "another value", "another shape", "zeros"],
)
def test_a_damaged_one_is_passed_over_with_a_warning(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """The stage is done again: nothing that was stored wrongly ever gets into a transcript."""
    checkpoints(tmp_path).save("align", [1], 1.0)
    path = tmp_path / "align.json"
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoints(tmp_path).load("align", list[int]) is None
    assert "cannot be used" in caplog.text


def test_one_of_another_kind_is_passed_over(tmp_path: Path) -> None:
    """What the stage's result looks like has changed, and somebody forgot to say so."""
    checkpoints(tmp_path).save("align", ["one"], 1.0)
    assert checkpoints(tmp_path).load("align", list[int]) is None


def test_what_was_quick_is_not_kept(tmp_path: Path) -> None:
    """Doing it again is cheaper than storing it."""
    checkpoints(tmp_path, least=5.0).save("align", [1], 4.9)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    """And a folder that cannot be written is no failure."""
    NONE.save("align", [1], 1.0)
    assert NONE.load("align", list[int]) is None
    checkpoints(tmp_path / "missing").save("align", [1], 1.0)


def test_a_fingerprint_covers_whatever_is_asked_for() -> None:
    """Where the files lie and which attempt it is do not matter."""
    request, used = Transcribe("job:a", "in", "out", Options(language="en"), sha256="ab" * 32), tools(EngineSettings(), MODELS, "cpu")
    same = msgspec.structs.replace(request, id="job:b", source="elsewhere", output="elsewhere")
    others = [
        msgspec.structs.replace(request, sha256="cd" * 32),
        msgspec.structs.replace(request, options=Options(language="en", beam_size=1)),
    ]
    marks = fingerprints(request, used)
    assert fingerprints(same, used) == marks
    for other in others:
        assert not set(marks.items()) & set(fingerprints(other, used).items())


@pytest.mark.parametrize(
    ("settings", "models", "device", "changed"),
    [
        (EngineSettings(), MODELS, "cpu", set()),
        (EngineSettings(log_level="debug"), MODELS, "cpu", set()),
        (EngineSettings(), MODELS | {"asr": "whisper base (float16)"}, "cpu", {"transcribe", "align", "diarize"}),
        (EngineSettings(whisper_model_size="/models/base"), MODELS, "cpu", {"transcribe", "align"}),
        (EngineSettings(openai_base_url="http://elsewhere/v1"), MODELS, "cpu", {"transcribe"}),
        (EngineSettings(), MODELS, "cuda", {"align"}),
        (EngineSettings(alignment="wav2vec2"), MODELS, "cpu", {"align"}),
        (EngineSettings(diarization_model="someone/their-pipeline"), MODELS, "cpu", {"diarize"}),
        (EngineSettings(hf_token="hf_x"), MODELS, "cpu", {"diarize"}),
    ],
)
def test_a_fingerprint_covers_what_its_stage_is_done_with(
    settings: EngineSettings, models: dict[str, str], device: str, changed: set[Stage]
) -> None:
    """What another stage is done with is no matter of its own: hearing stays when another model is to tell the speakers apart."""
    request = Transcribe("job:a", "in", "out", Options(), sha256="ab" * 32)
    before, now = fingerprints(request, tools(EngineSettings(), MODELS, "cpu")), fingerprints(request, tools(settings, models, device))
    assert {stage for stage in before if before[stage] != now[stage]} == changed


def test_a_fingerprint_covers_the_libraries_of_its_stage() -> None:
    """All of them are told by their versions, as they are installed."""
    used = tools(EngineSettings(), MODELS, "cpu")
    some: list[tuple[Stage, str]] = [
        ("transcribe", "ctranslate2"),
        ("align", "onnxruntime"),
        ("diarize", "pyannote-audio"),
        ("diarize", "torch"),
    ]
    for stage, library in some:
        assert f'"{library}":"{version(library)}"' in msgspec.json.encode(used[stage]).decode()
