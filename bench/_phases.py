"""A plugin of pytest: notes each phase of each test as it ends, in the file that `VERBATIM_PHASES` names.

A report at the end would not be there where it matters: who runs into its time limit is ended in the middle.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

FILE = "VERBATIM_PHASES"

Shown = Literal["passes", "fails", "hangs", "errors"]
"""`hangs`: in the test's own body. `errors`: in what it needs, in what it leaves behind, or before there was a test."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    with Path(os.environ[FILE]).open("a") as file:
        file.write(f"{report.when} {report.outcome}\n")


def shown(phases: Sequence[str], code: int) -> Shown:
    """What a run of pytest showed that ended with `code`."""
    if "call failed" in phases:
        return "fails"
    if code == 0:
        return "passes"
    return "hangs" if phases and phases[-1] == "setup passed" else "errors"
