"""What is chosen when nothing is set, and what the user's word outweighs."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.transcriber.engine.hardware import (
    Hardware,
    choose,
    forbid_telemetry,
    lower,
    prepare_environment,
    release_memory,
    threads,
    usable_cores,
)
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.memory import resident


def test_a_gpu_is_used_when_there_is_one() -> None:
    """`auto` takes CUDA with float16; without a device the CPU with int8."""
    assert (choose(EngineSettings(), 1).device, choose(EngineSettings(), 1).compute_type) == ("cuda", "float16")
    assert (choose(EngineSettings(), 0).device, choose(EngineSettings(), 0).compute_type) == ("cpu", "int8")


def test_cuda_by_name_is_taken_at_its_word() -> None:
    """Asking for CUDA where there is none must fail loudly later, not run slowly on the CPU."""
    assert choose(EngineSettings(whisper_device="cuda"), 0).device == "cuda"
    assert choose(EngineSettings(whisper_device="cpu"), 2).device == "cpu"


def test_the_user_overrides_everything() -> None:
    """Each choice has its variable."""
    settings = EngineSettings(whisper_compute_type="float32", whisper_batch_size=3, whisper_threads=5)
    hardware = choose(settings, 1)
    assert (hardware.compute_type, hardware.batch_size, hardware.widest, hardware.threads) == ("float32", 3, 3, 5)
    assert threads(settings) == 5


@pytest.mark.parametrize(("settings", "devices", "seconds"), [({}, 0, 60), ({"whisper_batch_size": 4}, 0, None), ({}, 1, None)])
def test_a_processors_batches_are_bounded_in_seconds(settings: dict[str, int], devices: int, seconds: int | None) -> None:
    """A step of a long one would keep who cancels it waiting; a GPU's are short, and a size that is given stays."""
    assert choose(EngineSettings(**settings), devices).most_seconds == seconds  # type: ignore[arg-type]


def test_workers_are_tried_out_where_cores_are_shared() -> None:
    """From two on, up to as many as there are cores, but four; a GPU has one, and whoever is told how many has those."""
    assert [(one.workers, one.most_workers) for one in (choose(EngineSettings(whisper_threads=cores), 0) for cores in (1, 2, 64))] == [
        (1, 1),
        (2, 2),
        (2, 4),
    ]
    assert choose(EngineSettings(whisper_threads=8), 1).most_workers == 1
    told = choose(EngineSettings(whisper_threads=8, whisper_workers=3), 0)
    assert (told.workers, told.most_workers) == (3, 3)


def test_libraries_are_told_before_they_are_imported() -> None:
    """Threads follow the setting and do not spin; telemetry is off whatever was set before."""
    environ = {"PYANNOTE_METRICS_ENABLED": "1"}
    prepare_environment(EngineSettings(whisper_threads=2), environ)
    assert environ["OMP_NUM_THREADS"] == "2"
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environ["PYANNOTE_METRICS_ENABLED"] == "0"


def test_nothing_is_kept_for_a_librarys_maker(tmp_path: Path) -> None:
    """ONNX Runtime writes down who this machine is before it reports that; told not to, it writes nothing."""
    told = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    forbid_telemetry(told)
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=told, check=True)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library cannot be told")
def test_what_is_released_goes_back_to_the_system() -> None:
    """Also what lay between pieces that stay: a model that was unloaded is no memory of this process any more."""
    pieces = [np.ones(8_000) for _ in range(2_000)]
    del pieces[::2]
    before = resident(os.getpid())
    release_memory("cpu")
    after = resident(os.getpid())
    assert before is not None
    assert after is not None
    assert before - after > 32 * 2**20
    assert len(pieces) == 1_000


@pytest.mark.parametrize(("quota", "most"), [("100000 100000", 1), ("20000 100000", 1), ("max 100000", 1_000), ("", 1_000)])
def test_a_containers_share_bounds_the_threads(quota: str, most: int, tmp_path: Path) -> None:
    """More threads than it has processor time for would only wait for each other; at least one works."""
    (tmp_path / "cpu.max").write_text(quota)
    every = usable_cores(tmp_path / "missing")
    assert usable_cores(tmp_path / "cpu.max") == min(every, most)


@pytest.mark.parametrize(
    ("device", "compute_type", "expected"),
    [
        ("cuda", "float16", [("cuda", "int8_float16"), ("cpu", "int8")]),
        ("cuda", "bfloat16", [("cuda", "int8_bfloat16"), ("cpu", "int8")]),
        ("cuda", "float32", [("cuda", "int8"), ("cpu", "int8")]),
        ("cuda", "int8_float16", [("cpu", "int8")]),
        ("cpu", "float32", [("cpu", "int8")]),
        ("cpu", "int8", []),
    ],
)
def test_what_takes_less_memory(device: str, compute_type: str, expected: list[tuple[str, str]]) -> None:
    """Smaller numbers first, where they are not the smallest already; then the CPU, where it is not the CPU already."""
    steps = lower(Hardware(device, compute_type, batch_size=8, threads=2))
    assert [(step.device, step.compute_type) for step in steps] == expected
