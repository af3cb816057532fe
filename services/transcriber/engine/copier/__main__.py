"""`python -m services.transcriber.engine.copier`: carries out the one order on its stdin, and tells how far it is.

It is started with nothing of the engine's environment but what Python needs. When its input ends, so does it, whatever it is doing.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from services.transcriber import confinement, frames
from services.transcriber.engine.copier import messages
from services.transcriber.engine.copier.copying import copy_redacted
from services.transcriber.engine.copier.messages import Answer, Copied, Order, Progress
from services.transcriber.engine.decoder.messages import ending


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    asked = messages.decode_order(sys.stdin.buffer.readline())
    confinement.end_with(sys.stdin.fileno())
    frames.load()
    confinement.bound_memory(asked.memory)

    def tell(answer: Answer) -> None:
        os.write(answers, messages.encode(answer) + b"\n")

    tell(_carried_out(asked, lambda fraction: tell(Progress(fraction))))


def _carried_out(asked: Order, progress: Callable[[float], None]) -> Answer:
    try:
        copy_redacted(
            Path(asked.source),
            Path(asked.output),
            asked.redactions,
            asked.seconds,
            progress,
            language=asked.language,
            confined=partial(confinement.sealed, asked.limit),
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return ending(error)
    return Copied()


if __name__ == "__main__":
    main()
