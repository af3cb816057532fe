"""What reaches the child's log, and how."""

import subprocess
import sys

import msgspec

SCRIPT = """
import logging, sys, threading, warnings
from services.transcriber.engine import logs
logs.configure("info", "json")
logs.capture()
print("No language", "specified", end=" ")
print("yet")
sys.stderr.write("10%\\r20%\\r\\n")
warnings.warn("an old name")
other = threading.Thread(target=lambda: print("from elsewhere"))
print("half", end="")
other.start()
other.join()
print(" a line")
logging.getLogger("own").info("our own")
raise ValueError("unforeseen")
"""


def test_what_libraries_print_is_logged() -> None:
    """Every line is one of the log's: prints of any thread, progress bars, warnings, and the trace of whatever ends the process."""
    outcome = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert outcome.stdout == ""
    lines = [msgspec.json.decode(line) for line in outcome.stderr.splitlines()]
    assert all(line["service"] == "transcriber.engine" for line in lines)
    told = [(line["logger"], line["level"], line["event"]) for line in lines]
    warned = next(index for index, (logger, _, _) in enumerate(told) if logger == "py.warnings")
    assert "an old name" in told.pop(warned)[2]
    assert told[:6] == [
        ("stdout", "info", "No language specified yet"),
        ("stderr", "warning", "10%"),
        ("stderr", "warning", "20%"),
        ("stdout", "info", "from elsewhere"),
        ("stdout", "info", "half a line"),
        ("own", "info", "our own"),
    ]
    assert told[-1] == ("stderr", "warning", "ValueError: unforeseen")
