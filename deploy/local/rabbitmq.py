"""A private RabbitMQ node: the machine's own rabbitmq-server program with a name, ports, cookie and directories of ours.

It never meets a broker that already runs. Erlang nodes find each other through epmd, so this one gets its own epmd on its own
port too; cookie, configuration and plugins are read from the private directory only.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.process import POLL_SECONDS, Process
from deploy.local.server import Server, plain_environment

USER = "verbatim"
VHOST = "verbatim"
# Above any job's time limit: by default the broker closes a channel whose message waits 30 minutes for its ack.
CONSUMER_TIMEOUT_SECONDS = 14400

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
default_vhost = {vhost}
consumer_timeout = {consumer_timeout}
vm_memory_high_watermark.absolute = 512MB
log.file = false
log.console = true
log.connection.level = warning
"""

# A leader alone answers for its members, so the answer is held back until there is one. A queue that was declared within the last
# half second before a SIGKILL is not yet registered on disk: it comes back empty, and elects nobody unless it is told to.
ELECT_LEADERS = """
[case ra:members(amqqueue:get_pid(Q), 3000) of
    {ok, _, _} -> ok;
    _ -> ra:trigger_election(amqqueue:get_pid(Q)), {ok, _, _} = ra:members(amqqueue:get_pid(Q), 30000)
end || Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q)], ok.
"""


class RabbitMQ(Server):
    name = "rabbitmq"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._epmd = Process(self.directory / "epmd.json", root / "log" / "epmd.log")

    @property
    def url(self) -> str:
        return self.vhost_url(VHOST)

    def vhost_url(self, vhost: str) -> str:
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self.private.port('amqp')}/{vhost}"

    def launch(self) -> None:
        if self._epmd.pid is not None:
            self._epmd.stop(signal.SIGTERM, self.stop_seconds)
        ports = self.private.claim_ports(dict.fromkeys(("amqp", "distribution", "epmd")))
        self._write_configuration(ports["amqp"])
        epmd = shutil.which("epmd", path=self._environment["PATH"])
        if epmd is None:
            raise StackError("rabbitmq-server is installed but Erlang's epmd is not on the PATH beside erl.")
        command = [epmd, "-port", str(ports["epmd"]), "-address", "127.0.0.1"]
        self._epmd.spawn(command, env=self._environment, cwd=self.directory)
        self._wait_epmd(ports["epmd"])
        self.process.spawn([self._program("rabbitmq-server")], env=self._environment, cwd=self.directory)

    def settle(self) -> None:
        """Wait until every quorum queue has its leader again.

        The listener opens before: a message published in between is neither stored nor refused, but nacked a minute later.
        """
        self._control("eval", ELECT_LEADERS)

    def stop(self) -> None:
        super().stop()
        self._epmd.stop(signal.SIGTERM, self.stop_seconds)

    def kill(self) -> None:
        super().kill()
        self._epmd.kill()

    def probe(self) -> bool:
        """The listener opens last of all, so a broker that greets back is a broker that is up."""
        try:
            with socket.create_connection(("127.0.0.1", self.private.port("amqp")), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def version(self) -> str:
        return self._control("eval", 'io:format("~s~n", [rabbit_misc:version()]).').split()[0]

    def add_vhosts(self, names: Iterable[str]) -> None:
        """Empty virtual hosts that our user may use. One call for many: starting the control program is what takes the time."""
        self._for_each_vhost(names, "ok = rabbit_vhost:add(V, U), ok = rabbit_auth_backend_internal:set_permissions(U, V, P, P, P, U)")

    def delete_vhosts(self, names: Iterable[str]) -> None:
        """Virtual hosts with all that is in them; open connections are closed. Those that do not exist are passed over."""
        self._for_each_vhost(names, "rabbit_vhost:exists(V) andalso rabbit_vhost:delete(V, U)")

    def vhosts(self) -> list[str]:
        listed = self._control("--quiet", "--formatter=json", "list_vhosts", "name")
        return [row["name"] for row in json.loads(listed)]

    def messages(self) -> dict[str, int]:
        """How many each queue has, also of those that a consumer has and has not acked."""
        listed = self._control("--quiet", "--formatter=json", "list_queues", "--vhost", VHOST, "name", "messages")
        return {row["name"]: row["messages"] for row in json.loads(listed)}

    def channels(self) -> Counter[str]:
        """How many are open, by the names that clients give their connections."""
        listed = self._control("--quiet", "--formatter=json", "list_connections", "client_properties", "channels")
        counts = Counter[str]()
        for row in json.loads(listed):
            properties = {name: value for name, _, value in row["client_properties"]}
            counts[properties.get("connection_name", "")] += row["channels"]
        return counts

    def setting(self, name: str) -> str:
        """A setting of the running node, as Erlang prints it."""
        return self._control("eval", f'{{ok, V}} = application:get_env(rabbit, {name}), io:format("~p~n", [V]).').split()[0]

    @property
    def epmd_pid(self) -> int | None:
        return self._epmd.pid

    def _wait_epmd(self, port: int) -> None:
        """A node that finds no epmd starts one itself, which would belong to nobody."""
        deadline = time.monotonic() + self.ready_seconds
        while not _answers(port):
            if self._epmd.pid is None or time.monotonic() > deadline:
                raise self._epmd.failure("epmd, which the broker needs, did not start.")
            time.sleep(POLL_SECONDS)

    @property
    def _password(self) -> str:
        return self.private.secret("password")

    @cached_property
    def _environment(self) -> dict[str, str]:
        directory = self.directory
        scripts = Path(self._program("rabbitmq-server")).parent
        # Homebrew keeps erl out of the default PATH of some shells; it lies beside the scripts.
        path = os.pathsep.join([str(scripts.parent / "bin"), str(scripts), os.environ.get("PATH", os.defpath)])
        epmd_port = str(self.private.port("epmd"))
        schedulers = min(4, os.cpu_count() or 1)
        return plain_environment(
            PATH=path,
            HOME=str(directory),  # where Erlang looks for its cookie
            ERL_EPMD_PORT=epmd_port,
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME=f"{self.private.secret('node', lambda: 'verbatim-' + os.urandom(4).hex())}@localhost",
            RABBITMQ_DIST_PORT=str(self.private.port("distribution")),
            RABBITMQ_CONF_ENV_FILE=str(directory / "rabbitmq-env.conf"),
            RABBITMQ_CONFIG_FILE=str(directory / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(directory / "advanced.config"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(directory / "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=str(directory / "data"),
            RABBITMQ_LOG_BASE=str(directory),
            RABBITMQ_LOGS="-",
            RUNNING_UNDER_SYSTEMD="true",  # the script then becomes the node, instead of standing between it and signals
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(f"-kernel inet_dist_use_interface {{127,0,0,1}} +S {schedulers}:{schedulers} +SDio 4"),
        )

    def _write_configuration(self, port: int) -> None:
        content = {
            "rabbitmq.conf": CONFIGURATION.format(
                port=port,
                user=USER,
                password=self._password,
                vhost=VHOST,
                consumer_timeout=CONSUMER_TIMEOUT_SECONDS * 1000,
            ),
            "rabbitmq-env.conf": "",
            "advanced.config": "[].\n",
            "enabled_plugins": "[].\n",
            ".erlang.cookie": self.private.secret("cookie"),
        }
        for name, text in content.items():
            path = self.directory / name
            path.touch(mode=0o600)
            path.write_text(text)
            path.chmod(0o600)
        self.__dict__.pop("_environment", None)  # it names the ports, which may just have changed

    def _for_each_vhost(self, names: Iterable[str], expression: str) -> None:
        listed = ",".join(f'<<"{name}">>' for name in names)
        if listed:
            self._control("eval", f'U = <<"{USER}">>, P = <<".*">>, [begin {expression} end || V <- [{listed}]], ok.')

    def _control(self, *arguments: str) -> str:
        node = self._environment["RABBITMQ_NODENAME"]
        command = [self._program("rabbitmqctl"), "--node", node, *arguments]
        done = subprocess.run(command, env=self._environment, cwd=self.directory, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StackError(f"rabbitmqctl {arguments[0]} failed.\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def _program(self, name: str) -> str:
        scripts = server_scripts()
        if scripts is None:
            raise StackError("rabbitmq-server is not installed. ./run up installs it, or set AMQP_URL to a broker of your own.")
        return str(scripts / name)


def server_scripts() -> Path | None:
    """The directory of RabbitMQ's own scripts, or None when it is not installed.

    What packages put on the PATH is often a wrapper that insists on the system's broker user, so the scripts it wraps are
    looked for first, beside the server's code.
    """
    packaged = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    on_path = shutil.which("rabbitmq-server", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_OTHER_DIRECTORIES]))
    beside = [Path(on_path).resolve().parent] if on_path else []
    for directory in (*reversed(packaged), *beside):
        if (directory / "rabbitmq-server").exists() and (directory / "rabbitmq-defaults").exists():
            return directory
    return None


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


_OTHER_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/home/linuxbrew/.linuxbrew/sbin")
