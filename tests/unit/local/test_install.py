"""Installing the broker's package without ever letting it start a broker. The package manager here is a script that takes notes."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.local.install import APT_SCRIPT

APT_GET = """#!/bin/sh
echo "apt-get $1: $("$POLICY"; echo $?)" >> "$NOTES"
if [ -n "$SIGNALLED" ]; then kill -TERM "$PPID"; fi
if [ "$1" = install ] && [ ! -e "$NOTES.updated" ]; then [ -z "$STALE" ]; exit; fi
touch "$NOTES.updated"
"""
NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$NOTES"\n'


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory with programs that take notes, first on the PATH."""
    for name, text in {"apt-get": APT_GET, "systemctl": NOTE, "dpkg-query": "#!/bin/sh\nexit 1\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def install(machine: Path, **environment: str) -> tuple[int, list[str]]:
    """Run the script against that machine; its exit status and the notes."""
    policy, notes = machine / "policy-rc.d", machine / "notes"
    known = {"PATH": f"{machine}:{os.environ['PATH']}", "POLICY": str(policy), "NOTES": str(notes), "STALE": "", "SIGNALLED": ""}
    script = APT_SCRIPT.replace("/usr/sbin/policy-rc.d", str(policy))
    done = subprocess.run(["sh", "-c", script], env=known | environment, capture_output=True, check=False)
    return done.returncode, notes.read_text().splitlines()


def test_the_package_may_not_start_its_broker(machine: Path) -> None:
    """While the package is installed, the policy answers 101, which forbids it; afterwards there is no policy."""
    status, notes = install(machine)
    assert (status, notes[0]) == (0, "apt-get install: 101")
    assert not (machine / "policy-rc.d").exists()


def test_the_units_do_not_start_it_at_boot_either(machine: Path) -> None:
    """What the package enabled is disabled, with Erlang's own daemon when it came along."""
    _, notes = install(machine)
    assert notes[1:] == ["systemctl disable rabbitmq-server.service", "systemctl disable epmd.service epmd.socket"]


def test_package_lists_are_fetched_when_they_are_missing(machine: Path) -> None:
    """A fresh machine knows no package: the first try fails, and the second comes after an update."""
    status, notes = install(machine, STALE="yes")
    assert status == 0
    assert [note.split(":")[0] for note in notes[:3]] == ["apt-get install", "apt-get update", "apt-get install"]


@pytest.mark.parametrize("ending", [{}, {"STALE": "yes"}, {"SIGNALLED": "yes"}])
def test_a_policy_of_the_administrator_is_put_back(machine: Path, ending: dict[str, str]) -> None:
    """However it ends, the file that was there is there again, unchanged."""
    policy = machine / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0 # mine\n")
    policy.chmod(0o755)
    _, notes = install(machine, **ending)
    assert notes[0] == "apt-get install: 101"
    assert policy.read_text() == "#!/bin/sh\nexit 0 # mine\n"
    assert not (machine / "policy-rc.d.before-verbatim").exists()


def test_an_interrupted_install_is_a_failed_one(machine: Path) -> None:
    """The signal is not taken for success, and the policy is gone."""
    status, _ = install(machine, SIGNALLED="yes")
    assert status == 128 + signal.SIGHUP
    assert not (machine / "policy-rc.d").exists()
