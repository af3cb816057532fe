# ruff: noqa: INP001 - Python asks for a module of this name, wherever it lies
"""On the path of a Python process, this makes its clock wrong by CHAOS_CLOCK_HOURS, from its first line on.

All that Python code reads is off, the clock that only counts up is not; it goes on from there, as a clock that was set wrong does.
"""

import os
from datetime import UTC, datetime, timedelta

import time_machine

time_machine.travel(datetime.now(UTC) + timedelta(hours=int(os.environ["CHAOS_CLOCK_HOURS"])), tick=True).start()
