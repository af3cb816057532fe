"""`python -m services.transcriber.engine.decoder BYTES`: decodes what it is asked to, file by file, in no more memory than that.

It is started by the engine, with nothing of its environment but what Python needs. When its input ends, so does it, whatever it is doing.
"""

import os
import sys
import threading
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from services.transcriber import confinement, frames
from services.transcriber.engine.decoder import messages
from services.transcriber.engine.decoder.messages import Answer, Ask, Told
from services.transcriber.engine.media import gather, rooms_for


def main(memory: int) -> None:
    asked: SimpleQueue[Ask] = SimpleQueue()
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    threading.Thread(target=_listen, args=(asked,), name="asked", daemon=True).start()
    frames.load()
    confinement.bound_memory(memory)
    while True:
        os.write(answers, messages.encode(_answer(asked.get())) + b"\n")


def _listen(asked: SimpleQueue[Ask]) -> None:
    try:
        with os.fdopen(os.dup(0), "rb") as lines:
            for line in lines:
                asked.put(messages.decode_ask(line))
    finally:
        os._exit(0)


def _answer(asked: Ask) -> Answer:
    try:
        return _decode(asked)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return messages.ending(error)


def _decode(asked: Ask) -> Told:
    with ExitStack() as open_files:
        rooms = [_Room(open_files.enter_context(_lane(asked, number).open("wb"))) for number in range(rooms_for(asked.channels))]
        confined = partial(confinement.sealed, asked.seconds)
        gathered = gather(Path(asked.source), asked.channels, asked.language, rooms, confined=confined)
    return Told(gathered.lanes, gathered.channels, gathered.damaged, gathered.kind, gathered.track, gathered.opposite)


def _lane(asked: Ask, number: int) -> Path:
    return Path(asked.folder, messages.lane(number))


class _Room:
    """A file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._bytes = file, 0

    def extend(self, data: bytes, /) -> None:
        self._file.write(data)
        self._bytes += len(data)

    def __len__(self) -> int:
        return self._bytes


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main(int(sys.argv[1]))
