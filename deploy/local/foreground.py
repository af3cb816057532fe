"""`./run up` without --detach: stays, starts again what dies, and stops everything when it is interrupted."""

import time
from collections.abc import Callable

from rich.console import Console

from deploy.local.progress import Progress
from deploy.local.system import System

WATCH_SECONDS = 1.0
# A service that dies again and again must not take the machine with it.
BACK_OFF_SECONDS = (0.0, 2.0, 5.0, 15.0, 30.0)
STEADY_SECONDS = 60.0


def run(system: System, console: Console, when_up: Callable[[], None]) -> int:
    """Bring it up, call `when_up`, and watch over it until Ctrl-C; then take it down, also when it never came up."""
    try:
        with Progress(console) as progress:
            system.up(progress.report)
        when_up()
        console.print("Ctrl-C stops everything.\n", highlight=False)
        watch(system, console)
    except KeyboardInterrupt:
        pass
    finally:
        stop(system, console)
    return 0


def watch(system: System, console: Console) -> None:
    """Start again whatever dies, until another command takes the system down."""
    deaths: dict[str, int] = {}
    due: dict[str, float] = {}
    since = dict.fromkeys(system.services, time.monotonic())
    while system.wanted:
        now = time.monotonic()
        for server in system.stack.servers:
            if not server.running:
                console.print(f"[yellow]{server.name} died; starting it again[/]")
                server.start()
        for name, service in system.services.items():
            if service.pid is not None:
                continue
            if name not in due:
                deaths[name] = 0 if now - since[name] > STEADY_SECONDS else deaths.get(name, -1) + 1
                wait = BACK_OFF_SECONDS[min(deaths[name], len(BACK_OFF_SECONDS) - 1)]
                due[name] = now + wait
                console.print(f"[yellow]{name} died[/] (see {service.process.log}); starting it again in {wait:.0f} s", highlight=False)
            if now >= due[name]:
                del due[name]
                since[name] = now
                system.relaunch(name)
        time.sleep(WATCH_SECONDS)


def stop(system: System, console: Console) -> None:
    """Take everything down; a second Ctrl-C meanwhile gives up the wait, and `./run down` finishes it."""
    with Progress(console) as progress:
        system.down(progress.report)
    console.print("Everything is stopped.")
