"""What is said of a trace where nobody exports it."""

import subprocess
import sys

from deploy.local.service import REPOSITORY

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# In a process of its own, since a process has one tracer for good.
WITHOUT_AN_EXPORTER = f"""
from common import tracing
with tracing.provider("test", None):
    for parent in (None, "{PARENT}"):
        with tracing.span("work", parent=parent):
            print(tracing.current_traceparent(), tracing.current_trace_id())
"""


def sampled(traceparent: str) -> bool:
    return bool(int(traceparent.split("-")[3], 16) & 1)


def test_who_does_not_record_a_trace_does_not_say_so() -> None:
    """Without an exporter a trace has an id and is not sampled, so that it costs little; one that the caller records stays so."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_AN_EXPORTER], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    own, continued = (line.split() for line in done.stdout.splitlines())
    assert own[0].split("-")[1] == own[1]
    assert not sampled(own[0])
    assert continued[0].split("-")[1] == continued[1] == PARENT.split("-")[1]
    assert sampled(continued[0])
