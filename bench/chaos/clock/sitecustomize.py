# ruff: noqa: INP001 - Python asks for a module of this name, wherever it lies
"""On the path of a Python process, this puts its clock wrong by the hours that the file CHAOS_CLOCK says, for as long as that is there.

All that Python code reads is off, and goes on from there, as a clock that was set wrong does; the clock that only counts up is not.
"""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine


def _keep(file: Path) -> None:
    while True:
        while not file.exists():
            time.sleep(0.1)
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=int(file.read_text())), tick=True):
            while file.exists():
                time.sleep(0.1)


threading.Thread(target=_keep, args=(Path(os.environ["CHAOS_CLOCK"]),), name="clock", daemon=True).start()
