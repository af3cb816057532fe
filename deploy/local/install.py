"""Installs rabbitmq-server with the machine's package manager; nothing else of the stack needs one.

A package starts its broker at once and at every boot. We want the program only: the start is refused while the package is being
installed, the units that it brought are disabled, and nothing of that stays behind.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.lock import once
from deploy.local.rabbitmq import server_scripts

ALTERNATIVES = """\
What you can do instead:
  - install RabbitMQ (3.10 or later) yourself and run this again
  - set AMQP_URL to a broker of your own
  - run everything in containers: docker compose -f deploy/compose.yaml up"""

# policy-rc.d is how Debian asks an administrator whether a package may start its service; 101 means no.
APT_SCRIPT = r"""
set -eu
policy=/usr/sbin/policy-rc.d
saved=$policy.before-verbatim
restore() { rm -f "$policy"; if [ -e "$saved" ]; then mv "$saved" "$policy"; fi; }
trap restore EXIT
trap 'exit 129' HUP INT TERM
if [ -e "$policy" ] && [ ! -e "$saved" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
had_epmd=no
if dpkg-query -W -f '${Status}' erlang-base 2>/dev/null | grep -q 'ok installed'; then had_epmd=yes; fi
# A machine that was just started may be updating itself.
install() { apt-get install -y -o DPkg::Lock::Timeout=600 --no-install-recommends rabbitmq-server; }
install || { apt-get update; install; }
if command -v systemctl >/dev/null; then
    systemctl disable rabbitmq-server.service || true
    if [ "$had_epmd" = no ]; then systemctl disable epmd.service epmd.socket || true; fi
fi
"""


def install_rabbitmq(log: Path, say: Callable[[str], None]) -> None:
    """Make sure that rabbitmq-server is there; raises `StackError` that says what else can be done."""
    if server_scripts() is not None:
        return
    command = _command()
    if command is None:
        raise StackError(
            f"rabbitmq-server is not installed, and there is no apt-get (as root or with sudo) or brew to do it.\n{ALTERNATIVES}"
        )
    say(f"installing rabbitmq-server with {command.manager} (once, about a minute)")
    once(command.program, server_scripts, lambda: _run(command, log))


def _run(command: "_Command", log: Path) -> None:
    if command.asks and subprocess.run(["sudo", "-v"], check=False).returncode != 0:
        raise StackError(f"rabbitmq-server has to be installed, and sudo was refused.\n{ALTERNATIVES}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "HOMEBREW_NO_AUTO_UPDATE": "1"}
        done = subprocess.run(
            command.words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False
        )
    if done.returncode != 0 or server_scripts() is None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise StackError(f"rabbitmq-server could not be installed with {command.manager}:\n{tail}\n({log})\n{ALTERNATIVES}")


class _Command:
    """`program` is where the package manager is, by the name `manager`."""

    def __init__(self, manager: str, program: str, words: list[str], *, asks: bool = False) -> None:
        self.manager = manager
        self.program = program
        self.words = words
        self.asks = asks


def _command() -> _Command | None:
    if (apt_get := shutil.which("apt-get")) is not None:
        script = ["sh", "-c", APT_SCRIPT]
        if os.geteuid() == 0:
            return _Command("apt-get", apt_get, script)
        if shutil.which("sudo"):
            # Without a terminal nobody could type a password: then sudo must do without or fail at once.
            asks = sys.stdin.isatty()
            keep = "--preserve-env=DEBIAN_FRONTEND"
            return _Command("sudo apt-get", apt_get, ["sudo", *([] if asks else ["-n"]), keep, *script], asks=asks)
    if (brew := shutil.which("brew")) is not None and os.geteuid() != 0:
        return _Command("brew", brew, ["brew", "install", "rabbitmq"])
    return None
