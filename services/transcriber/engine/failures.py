"""What a failure inside a request means to the parent: a stable code, a sentence, and whether trying again can help.

Our own errors say so by their type. Memory that ran out and a device that failed may be fine on the next attempt or another machine.
Anything unforeseen is transient too: attempts are bounded, and a bug that always fails is reported as failed after the last one.
"""

from common.errors import PermanentError, VerbatimError
from services.transcriber import protocol

_DEVICE_WORDS = ("cuda", "cudnn", "cublas")

_MEMORY_WORDS = (
    "out of memory",
    "cannot allocate memory",
    "can't allocate memory",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
)
"""In this order: CUDA's, the system's, torch's on a CPU, ONNX Runtime's, C++'s twice, cuBLAS's and cuDNN's."""


class Cancelled(PermanentError):
    """Nobody waits for the request any more."""

    def __init__(self) -> None:
        super().__init__("cancelled", "Nobody waits for this transcript any more.")


def describe(request_id: str, error: Exception) -> protocol.Failed:
    """The event that reports `error`."""
    if isinstance(error, VerbatimError):
        return protocol.Failed(request_id, error.code, error.message, error.transient)
    if out_of_memory(error):
        return protocol.Failed(request_id, "out_of_memory", "The machine ran out of memory while transcribing.", transient=True)
    if poisons_device(error):
        return protocol.Failed(request_id, protocol.DEVICE_FAILED, "The accelerator failed while transcribing.", transient=True)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return protocol.Failed(request_id, "storage_failed", f"The engine could not read or write a file: {reason}.", transient=True)
    return protocol.Failed(request_id, "engine_failed", f"The engine failed unexpectedly ({type(error).__name__}).", transient=True)


def out_of_memory(error: Exception) -> bool:
    """The machine's memory or the accelerator's."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _MEMORY_WORDS)


def poisons_device(error: Exception) -> bool:
    """After such an error every later call on the device fails as well: only a new process helps."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and not out_of_memory(error) and any(word in text for word in _DEVICE_WORDS)
