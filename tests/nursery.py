"""Services forked from a process that has imported them: what costs a second and a half of the processor by itself costs little so.

The same `main` runs in a process, session and environment of its own, with its output in its log; only the interpreter's start and the
imports are shared. Tests of a service's start as such, of `./run` and of crashes start theirs in the ordinary way.
"""

import multiprocessing
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path

from deploy.local.process import Child, Process
from deploy.local.service import SERVICES

_STUBBED = ("bench.chaos.transcriber", "bench.load.transcriber")
_MODULES = {f"services.{name}": f"services.{name}.__main__" for name in SERVICES} | {name: name for name in _STUBBED}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*_MODULES.values(), __name__])


class Nursed(Process):
    """A service's process, the transcribers of benches too; what is no service is started as ever."""

    def start(self, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, user: pwd.struct_passwd | None) -> Child:
        module = _MODULES.get(str(command[-1]))
        if module is None:
            return super().start(command, env=env, cwd=cwd, user=user)
        process = _CONTEXT.Process(target=_run, args=(module, dict(env), cwd, self.log), daemon=True)
        process.start()
        return _Forked(process)


class _Forked:
    """A child of the nursery, as one of our own."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode


def _run(module: str, environment: dict[str, str], cwd: Path, log: Path) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [module]
    import_module(module).main()
