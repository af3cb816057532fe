"""The commands behind `./run`: up, down, status, logs, install and the demo."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console
from rich.markup import escape

from deploy.local import foreground
from deploy.local.errors import StackError
from deploy.local.install import install_rabbitmq
from deploy.local.progress import Progress
from deploy.local.system import ROOT, System
from deploy.local.table import status_table

WIDEST_ROW = 160


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status of the program."""
    options = _parser().parse_args(arguments)
    console = Console(soft_wrap=True)
    # A polite kill must take the same way out as Ctrl-C: the one that stops what was started. SIGINT itself is ignored in what a
    # script starts in the background, unless somebody asks for it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        status: int = options.command(options, console)
    except StackError as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run", description="Verbatim on this machine, without containers.")
    commands = parser.add_subparsers(required=True)
    up = commands.add_parser("up", help="start what does not run, and return or stay when all of it is ready")
    up.add_argument("--detach", "-d", action="store_true", help="leave it running in the background")
    up.set_defaults(command=_up)
    commands.add_parser("down", help="stop everything").set_defaults(command=_down)
    status = commands.add_parser("status", help="what runs, where, and with which keys")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_status)
    logs = commands.add_parser("logs", help="follow the logs of one service, or of all")
    logs.add_argument("name", nargs="?", help="a service or server; all services when left out")
    logs.set_defaults(command=_logs)
    commands.add_parser("install", help="install the system packages that the stack needs").set_defaults(command=_install)
    demo = commands.add_parser("demo", help="transcribe a recording and show all that happens")
    demo.add_argument("file", nargs="?", type=Path, help="an audio or video file; a sample conversation when left out")
    demo.add_argument("--once", action="store_true", help="end after the transcript instead of waiting for Ctrl-C")
    demo.set_defaults(command=_demo)
    return parser


def _up(options: argparse.Namespace, console: Console) -> int:
    system = System()
    if options.detach:
        with Progress(console) as progress:
            system.up(progress.report)
        _say_where(system, console)
        return 0
    return foreground.run(system, console, lambda: _say_where(system, console))


def _down(_options: argparse.Namespace, console: Console) -> int:
    with Progress(console) as progress:
        System().down(progress.report)
    console.print("Everything is stopped.")
    return 0


def _status(options: argparse.Namespace, console: Console) -> int:
    system = System()
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(system.status())).decode() + "\n")
    else:
        # An address that is cut or folded cannot be copied: let the terminal wrap what is too long for it.
        Console(width=max(console.width, WIDEST_ROW)).print(status_table(system))
    return 0


def _logs(options: argparse.Namespace, _console: Console) -> int:
    names = [options.name] if options.name else list(System().services)
    files = [ROOT / "log" / f"{name}.log" for name in names]
    missing = [file for file in files if not file.exists()]
    if missing and len(missing) == len(files):
        known = sorted(file.stem for file in (ROOT / "log").glob("*.log"))
        raise StackError(f"There is no log of {', '.join(names)} yet. Logs: {', '.join(known) or 'none; ./run up makes them'}")
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", "40", "-F", *(str(file) for file in files if file.exists())])  # noqa: S606 - it becomes tail


def _install(_options: argparse.Namespace, console: Console) -> int:
    system = System()
    if system.stack.rabbitmq in system.stack.servers:
        install_rabbitmq(ROOT / "log" / "install.log", console.print)
    return 0


def _demo(options: argparse.Namespace, console: Console) -> int:
    from deploy.local import demo  # noqa: PLC0415 - its HTTP client and audio package would slow every other command down

    return demo.run(System(), options.file, console, once=options.once)


def _say_where(system: System, console: Console) -> None:
    console.print(f"\nThe API is at [bold]{system.api_url}[/], its documentation at [bold]{system.api_url}/schema[/].", highlight=False)
    console.print("./run status shows the rest, ./run logs follows the logs, ./run down stops everything.", highlight=False)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
