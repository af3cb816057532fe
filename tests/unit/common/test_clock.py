"""Whose clock decides."""

import re
from pathlib import Path

from deploy.local.service import REPOSITORY

_TIME_OF_DAY = re.compile(r"\b(?:datetime\.(?:now|today|utcnow)|time\.time(?:_ns)?|date\.today)\(")

# Where no time of the database's is compared with it.
_OTHERWISE = {
    Path("services/ingest/parted.py"),  # until when URLs work that this process signs
    Path("services/notifier/bodies.py"),  # how long a signature that this process makes must last for the database's time
    Path("services/transcriber/heartbeat.py"),  # when a mere progress was told
    Path("services/transcriber/engine/stages.py"),  # spans of a trace
    Path("services/transcriber/engine/remote/refusals.py"),  # until when another service wants to be left alone
}


def test_no_service_decides_by_its_own_clock() -> None:
    """Leases, schedules and expiry are the database's to tell: nobody asks the machine for the time of day."""
    sources = [path for folder in ("services", "libs") for path in (REPOSITORY / folder).rglob("*.py")]
    found = {path.relative_to(REPOSITORY) for path in sources if _TIME_OF_DAY.search(path.read_text())}
    assert found == _OTHERWISE
