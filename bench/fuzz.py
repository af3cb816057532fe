"""`./run bench fuzz`: Atheris on what reads bytes of strangers (`tests/fuzz`), for as long as it is told; what breaks is shown and kept.

Atheris has wheels for Linux on x86-64. Elsewhere the seeds are still run by the tests.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from bench._system import report
from deploy.local.service import REPOSITORY
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_FOUND = Path(__file__).parent / "results" / "fuzz"
_GRACE_SECONDS = 300
_ONE_RUN_SECONDS = 10


class Fuzzed(msgspec.Struct, frozen=True):
    """What came of one target: how often it was run, how many edges were reached, and where the bytes are that break it."""

    runs: int
    edges: int
    broken: str | None
    told: str


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=list(TARGETS), choices=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args(arguments)
    if find_spec("atheris") is None:
        sys.exit("Atheris is not installed: it has wheels for Linux on x86-64 only.")
    fuzzed = {name: _fuzz(TARGETS[name], options.seconds, options.seed) for name in options.only}
    rows = [
        (f"target, {options.seconds} s each", "runs, edges reached", "breaks"),
        *((name, f"{each.runs:,}, {each.edges}", each.broken or "none") for name, each in fuzzed.items()),
    ]
    report("fuzz", rows, {"seconds": options.seconds, "seed": options.seed, "targets": msgspec.to_builtins(fuzzed)})
    for each in fuzzed.values():
        if each.broken:
            print(each.told)
    if any(each.broken for each in fuzzed.values()):
        sys.exit(1)


def _fuzz(target: Target, seconds: int, seed: int) -> Fuzzed:
    _FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(target.seeds):
            Path(folder, f"{number}").write_bytes(data)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "bench._fuzzing", target.name, folder),
                *(f"-max_total_time={seconds}", f"-seed={seed}", f"-timeout={_ONE_RUN_SECONDS}"),
                *("-print_final_stats=1", f"-artifact_prefix={_FOUND}/{target.name}-"),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + _GRACE_SECONDS,
            check=False,
        )
    told = done.stdout + done.stderr
    kept = re.search(r"Test unit written to (\S+)", told)
    broken = None if done.returncode == 0 else kept[1] if kept else f"ended with {done.returncode}"
    return Fuzzed(_number(r"number_of_executed_units: (\d+)", told), _number(r"cov: (\d+)", told), broken, told[-4_000:] if broken else "")


def _number(pattern: str, text: str) -> int:
    """The last one."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0
