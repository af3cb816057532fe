"""What the parent is told about a failure."""

import pytest

from common.errors import PermanentError, TransientError
from services.transcriber.engine.failures import describe, poisons_device


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (PermanentError("empty_audio", "Nothing in it."), "empty_audio", False),
        (TransientError("source_missing", "Not there."), "source_missing", True),
        (MemoryError(), "out_of_memory", True),
        (RuntimeError("CUDA failed with error out of memory"), "out_of_memory", True),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"), "out_of_memory", True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."), "out_of_memory", True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 4"), "out_of_memory", True),
        (RuntimeError("std::bad_alloc"), "out_of_memory", True),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED"), "device_failed", True),
        (OSError(28, "No space left on device"), "storage_failed", True),
        (KeyError("surprise"), "engine_failed", True),
    ],
)
def test_failures_have_a_stable_code(error: Exception, code: str, *, transient: bool) -> None:
    """Whether trying again can help follows from what went wrong."""
    event = describe("job", error)
    assert (event.id, event.code, event.transient) == ("job", code, transient)


def test_a_surprise_keeps_its_secrets() -> None:
    """An unforeseen error's text may hold anything, a path or a transcript: the user gets its type only."""
    assert "surprise" not in describe("job", KeyError("surprise")).message


def test_only_a_device_failure_needs_a_new_process() -> None:
    """Running out of memory leaves the device usable."""
    assert poisons_device(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not poisons_device(RuntimeError("CUDA out of memory"))
    assert not poisons_device(ValueError("cuda"))
