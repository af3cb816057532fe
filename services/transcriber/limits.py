"""How long the engine may take over a recording and how much memory it may use, stage by stage.

A stage's limit grows with the recording, from a floor that covers what every recording costs; decoding has a limit of its own, as it is
fast and depends on the file alone. The limits are there to end what hangs, so they are far above what a stage takes.

The engine ends its decoder itself, and the models stay loaded; only an engine that does not is ended for it.
"""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from common.errors import PermanentError, TransientError, VerbatimError
from services.transcriber.protocol import Stage

DECODE_SECONDS = 300.0
"""Unless `DECODE_TIME_LIMIT_SECONDS` says otherwise."""

DECODE_MEGABYTES = 1024
"""Unless `DECODE_MEMORY_LIMIT_MB` says otherwise."""

_ENGINES_TIME = 1.1
"""Times the limit for decoding: enough for the engine to end its decoder and say so."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`job` is for all stages together. Others take `stage`, or `stage_ratio` seconds for each second of the recording if that is more.

    `memory` is in bytes, of the whole engine process, and `stage_memory` the same while it is at that stage; None: as much as there is.
    """

    job: timedelta
    decode: timedelta = timedelta(seconds=DECODE_SECONDS)
    stage: timedelta = timedelta(minutes=5)
    stage_ratio: float = 5.0
    memory: int | None = None
    stage_memory: Mapping[Stage, int] = {}

    def seconds(self, stage: Stage, recording: float) -> float:
        """How long `stage` may take for a `recording` of so many seconds."""
        if stage == "decode":
            return self.decode.total_seconds()
        return max(self.stage.total_seconds(), self.stage_ratio * recording)

    def patience(self, stage: Stage, recording: float) -> float:
        """How long it is waited for."""
        return self.seconds(stage, recording) * (_ENGINES_TIME if stage == "decode" else 1)

    @property
    def bound_memory(self) -> bool:
        """Whether any stage's memory has a limit."""
        return self.memory is not None or bool(self.stage_memory)

    def bytes(self, stage: Stage) -> int | None:
        """How much memory the engine's process may have while it is at `stage`."""
        return self.stage_memory.get(stage, self.memory)


def job_overrun(limits: Limits) -> VerbatimError:
    """Permanent: all stages together would take as long the next time."""
    seconds = limits.job.total_seconds()
    return PermanentError("time_limit", f"Transcribing took longer than the limit of {seconds:g} seconds; submit a shorter recording.")


def stage_overrun(stage: Stage, seconds: float) -> VerbatimError:
    """Permanent for decoding, which does the same to the same file every time.

    Transient for what models do: it hangs because a device or a driver does, a new process usually helps, and the next attempt goes on from
    the checkpoint before this stage.
    """
    if stage == "decode":
        sentence = f"Decoding the file took longer than the limit of {seconds:g} seconds; convert it to another format and submit it again."
        return PermanentError("time_limit", sentence)
    sentence = f"The stage '{stage}' took longer than the limit of {seconds:g} seconds and was stopped; a shorter recording takes less."
    return TransientError("time_limit", sentence)


def decoder_overrun(limit: int) -> VerbatimError:
    """Permanent, as decoding's other limit: the memory is for one file alone."""
    megabytes = limit // 2**20
    sentence = f"Decoding the file takes more memory than the limit of {megabytes} MB; convert it to another format and submit it again."
    return PermanentError("memory_limit", sentence)


def memory_overrun(stage: Stage, limit: int) -> VerbatimError:
    """Transient: what is measured is the whole process, with its models and the recordings of others."""
    megabytes = limit // 2**20
    sentence = f"The stage '{stage}' took more memory than the limit of {megabytes} MB and was stopped; a shorter recording takes less."
    return TransientError("memory_limit", sentence)
