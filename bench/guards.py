"""`./run bench guards`: takes out each guard of `tests/guards.py` in turn, in a copy of the sources, and sees its test fail.

A guard whose removal no test notices is one that the next change may take out unseen. All the tests pass first, with every guard in place.
A test notices by failing itself, or by coming to no end: one that could not begin, as for a service that does not start without the
guard, has noticed nothing.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import _phases
from bench._phases import Shown
from bench._system import report
from deploy.local.lock import Users
from deploy.local.service import REPOSITORY
from deploy.local.stack import Stack
from tests.guards import GUARDS, Guard

_COPIED = ("libs", "services", "deploy", "tests", "bench", "docs", "pyproject.toml", "README.md")
_SHARED = (".venv", ".verbatim/models")
_SECONDS = 90
"""After which a test has failed and its process ends: one that hangs may hang in its teardown too."""

_NOTICED = frozenset[Shown]({"fails", "hangs"})


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench guards")
    parser.add_argument("--only", nargs="+", default=[""], help="guards whose name or file has one of these in it")
    only = parser.parse_args(arguments).only
    guards = [guard for guard in GUARDS if any(each in f"{guard.name} {guard.file}" for each in only)]
    with tempfile.TemporaryDirectory(prefix="verbatim-guards-") as folder, _copy(Path(folder)) as copy:
        tests = sorted({guard.test for guard in guards})
        if _run(copy, *tests) != "passes":
            sys.exit("With every guard in place the tests must pass, and they do not; see above.")
        verdicts = {guard: _without(copy, guard) for guard in guards}
    rows = [
        ("without this guard", "its test", "which is"),
        *((guard.name, shown if shown in _NOTICED else shown.upper(), guard.test) for guard, shown in verdicts.items()),
        ("noticed", f"{sum(shown in _NOTICED for shown in verdicts.values())} of {len(verdicts)}", "all"),
    ]
    report("guards", rows, {"guards": {guard.name: shown for guard, shown in verdicts.items()}})
    if not _NOTICED.issuperset(verdicts.values()):
        sys.exit(1)


@contextmanager
def _copy(folder: Path) -> Iterator[Path]:
    """The sources, with a stack that stays up for all runs of their tests."""
    for name in _COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        else:
            shutil.copy(source, folder / name)
    (folder / ".verbatim").mkdir()
    for name in _SHARED:
        (folder / name).symlink_to(REPOSITORY / name)
    stack = Stack(folder / ".verbatim" / "test", environ={}, durable=False)
    users = Users(stack.root / "users.lock")
    try:
        users.join(stack.start)
        yield folder
    finally:
        users.leave(stack.stop)


def _without(copy: Path, guard: Guard) -> Shown:
    """What the guard's test shows when it is gone."""
    path = copy / guard.file
    text = path.read_text()
    began = time.monotonic()
    try:
        path.write_text(text.replace(guard.text, guard.without))
        shown = _run(copy, guard.test, quiet=True)
    finally:
        path.write_text(text)
    print(f"{time.monotonic() - began:5.0f} s  {'noticed' if shown in _NOTICED else f'NOT NOTICED ({shown})'}: {guard.name}", flush=True)
    return shown


def _run(copy: Path, *tests: str, quiet: bool = False) -> Shown:
    phases = copy / ".verbatim" / "phases"
    phases.write_text("")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(copy), str(copy / "libs")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        _phases.FILE: str(phases),
    }
    limited = [f"--timeout={_SECONDS}", "--timeout-method=thread"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", _phases.__name__, *limited, *tests]
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(command, cwd=copy, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        code = process.wait()
        return _phases.shown(phases.read_text().splitlines(), code)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the guard would have ended
