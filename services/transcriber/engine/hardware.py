"""What to run on and how wide: the device, the compute type, the batch size, and the number of threads and workers.

Every choice can be overridden by its `WHISPER_*` variable. The CPU defaults are measured (docs/architecture/engine.md): int8 is
faster than float32 and hears the same words, and a wider batch gains little on a few cores while it makes progress coarser.
"""

import ctypes
import gc
import os
from collections.abc import MutableMapping
from pathlib import Path

import msgspec

from services.transcriber.engine.settings import EngineSettings
from services.transcriber.memory import resident

_CUDA_FIRST, _CUDA_WIDEST = 16, 128
_CPU_BATCH, _CPU_SECONDS = 4, 60
_CPU_WORKERS, _CPU_MOST_WORKERS = 2, 4
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of processor time that all processes of the container get together, and in how many."""


class Hardware(msgspec.Struct, frozen=True):
    """`device` is `cpu` or `cuda`. Batches begin with `batch_size` chunks and may grow to `widest`.

    None holds more than `most_seconds` of windows, where that is bounded. So do workers, which hear a batch each, from `workers` to
    `most_workers`; all have `threads`.
    """

    device: str
    compute_type: str
    batch_size: int
    threads: int
    widest: int = 0
    most_seconds: int | None = None
    workers: int = 1
    most_workers: int = 1


def threads(settings: EngineSettings) -> int:
    """As many as this process may use, unless told."""
    return settings.whisper_threads or usable_cores()


def prepare_environment(settings: EngineSettings, environ: MutableMapping[str, str]) -> None:
    """Set what numeric libraries read once, when they are imported. Telemetry stays off whatever the user's environment says.

    Threads that have nothing to do sleep rather than spin, unless the user has it otherwise: the parent and other workers need the cores.
    """
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environ["OMP_NUM_THREADS"] = environ["MKL_NUM_THREADS"] = str(threads(settings))
    environ["TOKENIZERS_PARALLELISM"] = "false"
    forbid_telemetry(environ)


def forbid_telemetry(environ: MutableMapping[str, str]) -> None:
    """Libraries that report to their makers unless told not to are told; ONNX Runtime would begin when it is imported."""
    environ["PYANNOTE_METRICS_ENABLED"] = "0"
    environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    environ["ORT_DISABLE_TELEMETRY"] = "1"


def choose(settings: EngineSettings, cuda_devices: int) -> Hardware:
    """Fill in what is not set; `cuda` by name is taken at its word, so that a missing driver is an error and not a slow surprise."""
    device = settings.whisper_device
    if device == "auto":
        device = "cuda" if cuda_devices else "cpu"
    # On a CPU wider batches have been measured to gain nothing, and a long one keeps who cancels it waiting.
    first, widest = (_CUDA_FIRST, _CUDA_WIDEST) if device == "cuda" else (_CPU_BATCH, _CPU_BATCH)
    # A GPU is kept busy by wider batches. Workers share a processor's cores: each may have all, as it seldom needs them.
    cores = threads(settings) if device == "cpu" else 1
    return Hardware(
        device=device,
        compute_type=settings.whisper_compute_type or ("float16" if device == "cuda" else "int8"),
        batch_size=settings.whisper_batch_size or first,
        threads=threads(settings),
        widest=settings.whisper_batch_size or widest,
        most_seconds=_CPU_SECONDS if device == "cpu" and not settings.whisper_batch_size else None,
        workers=settings.whisper_workers or min(_CPU_WORKERS, cores),
        most_workers=settings.whisper_workers or min(_CPU_MOST_WORKERS, cores),
    )


def lower(hardware: Hardware) -> tuple[Hardware, ...]:
    """What takes less memory, the best first: smaller numbers where they are, then the CPU's memory instead of the GPU's."""
    steps: list[Hardware] = []
    if not hardware.compute_type.startswith("int8"):
        halves = hardware.compute_type in {"float16", "bfloat16"}
        smaller = f"int8_{hardware.compute_type}" if halves else "int8"
        steps.append(msgspec.structs.replace(hardware, compute_type=smaller, workers=1, most_workers=1))
    if hardware.device != "cpu":
        steps.append(
            msgspec.structs.replace(
                hardware, device="cpu", compute_type="int8", widest=0, most_seconds=_CPU_SECONDS, workers=1, most_workers=1
            )
        )
    return tuple(steps)


def release_memory(device: str) -> None:
    """Give back what nothing refers to any more, before something else is to have it.

    Weights are many pieces among others that stay: what they leave behind the C library keeps, most of it, unless it is told (glibc).
    """
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
    if device == "cuda":
        import torch  # noqa: PLC0415 - where there is no GPU nothing here needs it

        torch.cuda.empty_cache()


def gpu_memory_free() -> int:
    """Bytes."""
    import torch  # noqa: PLC0415 - where there is no GPU nothing here needs it

    return int(torch.cuda.mem_get_info()[0])


def memory_used(device: str) -> int:
    """Bytes in use where models are: all of the GPU's, or this process's; 0 where the system does not say."""
    if device == "cuda":
        import torch  # noqa: PLC0415 - where there is no GPU nothing here needs it

        free, total = torch.cuda.mem_get_info()
        return int(total - free)
    return resident(os.getpid()) or 0


def usable_cores(quota: Path = _QUOTA) -> int:
    """Those that this process may run on, or as many as its container's share of time makes, if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        time, period = map(int, quota.read_text().split())
    except (OSError, ValueError):  # no container, or no limit ("max")
        return cores
    return min(cores, max(1, round(time / period)))
