"""One of the four services as a process of its own: configured, started, asked whether it is ready, stopped or killed."""

import base64
import hashlib
import http.client
import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.private import Private
from deploy.local.process import Process
from deploy.local.rabbitmq import CONSUMER_TIMEOUT_SECONDS
from deploy.local.stack import Stack

# In the order of their start: the transcriber has a model to load, so it goes first.
SERVICES = ("transcriber", "ingest", "notifier", "janitor")
REPOSITORY = Path(__file__).parents[2]
LOOPBACK = "127.0.0.0/8,::1/128"
FIRST_ANSWER = "its first answer"
STOP_SECONDS = 45  # longer than a service drains


class Service:
    """A process with a directory, a log and one HTTP port: its API for ingest, its health for the others.

    Once it has had a port, that is kept; but who `insists` has the preferred one, if it is free. `module` is what is run, where that is not
    the service of this `name`; `process` is how.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        *,
        preferred_port: int | None = None,
        insists: bool = False,
        module: str | None = None,
        process: type[Process] = Process,
    ) -> None:
        self.name = name
        self._module = module or f"services.{name}"
        self._preferred_port, self._insists = preferred_port, insists
        self.process = process(root / "services" / f"{name}.json", root / "log" / f"{name}.log")
        self._private = Private(root / "services" / f"{name}.private.json")

    @property
    def pid(self) -> int | None:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._private.port('http', self._preferred_port)}"

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start it with exactly this environment; call only while it does not run. See `readiness` for when it is up."""
        port = self._private.claim_ports({"http": self._preferred_port}, preferred_first=self._insists)["http"]
        port_name = "PORT" if self._module == "services.ingest" else "HEALTH_PORT"
        command = [sys.executable, "-m", self._module]
        full = {**environment, port_name: str(port)}
        self.process.spawn(command, env=full, cwd=REPOSITORY, fingerprint=fingerprint(environment))

    def readiness(self, path: str = "/health/ready") -> str | None:
        """What it still waits for, in its own words; None when it is ready (or, by `path`, only alive)."""
        connection = http.client.HTTPConnection("127.0.0.1", self._private.port("http"), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            return None if answer.status == http.HTTPStatus.OK else _waiting_for(text)
        except OSError:
            return FIRST_ANSWER
        finally:
            connection.close()

    def terminate(self) -> None:
        """SIGTERM: it drains and ends by itself."""
        self.process.send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the service alone, as the kernel would do it: what it had started must notice by itself."""
        self.process.send(signal.SIGKILL)
        self.process.wait_gone(10)

    def stop(self) -> None:
        """Drain, and after `STOP_SECONDS` kill it with all that it started."""
        self.process.stop(signal.SIGTERM, STOP_SECONDS)


def local_environment(stack: Stack, *, models: Path, private: Private, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of every local service: that of the user, what a loopback-only machine needs, and where the servers are.

    The user's own configuration wins over our defaults, but not over what keeps the API (which asks for no key here) on loopback.
    Recordings that are worked on lie in the stack's directory: the system's place for such things may be memory.
    """
    scratch = stack.root / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    defaults = {
        "TMPDIR": str(scratch),
        "LOG_FORMAT": "console",
        "VERBATIM_MODEL_DIR": str(models),
        "WEBHOOK_SECRETS": private.secret("webhook", _webhook_secret),
        "WEBHOOK_ALLOW_NETWORKS": LOOPBACK,
        "URL_ALLOW_NETWORKS": LOOPBACK,
        "CONSUMER_TIMEOUT_SECONDS": str(CONSUMER_TIMEOUT_SECONDS),
        "JOB_TIME_LIMIT_SECONDS": "10800",
    }
    forced = {"AUTH": "off", "HOST": "127.0.0.1", "HEALTH_HOST": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    given = {name: value for name, value in environ.items() if value}
    return defaults | given | forced | stack.environment


def without_configuration(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment less everything that a service would take for its configuration: what tests start from."""
    return {name: value for name, value in environ.items() if not name.startswith(_CONFIGURATION)}


def fingerprint(environment: Mapping[str, str]) -> str:
    """Equal for environments that configure a service alike, so that a changed setting can be told from an unchanged one."""
    configuration = sorted((name, value) for name, value in environment.items() if name.startswith(_CONFIGURATION))
    return hashlib.sha256(json.dumps(configuration).encode()).hexdigest()[:16]


_CONFIGURATION = (
    *("ALIGNMENT", "AMQP_", "AUDIO_", "AUTH", "AWS_ACCESS", "AWS_SECRET", "AWS_REGION", "CHECKPOINT_", "CLEANUP_", "CONSUMER_", "CORS_"),
    *("DATABASE_", "DEAD_LETTER_", "DECODE_", "DELETE_AUDIO_", "DELIVERY_", "DIARIZATION_", "DRAIN_", "ENGINE", "HEALTH_", "HEARTBEAT_"),
    *("HF_", "HOST", "IDEMPOTENCY_", "JOB_", "LEASE_", "LOG_", "MAX_", "MODELS_", "MODEL_IDLE_", "OPENAI_", "ORPHAN_", "OTEL_", "PORT"),
    *("RATE_LIMIT_", "RECONCILE_", "REFERENCE_", "RESCUE_", "S3_", "SHORT_JOBS_", "STAGE_", "STALE_", "STORAGE_", "SYNC_", "TOMBSTONE_"),
    *("UPLOAD_", "URL_", "VERBATIM_", "WEBHOOK_", "WHISPER_"),
)


def _webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _waiting_for(text: str) -> str:
    try:
        states = json.loads(text)
    except ValueError:
        states = None
    bad = [name for name, state in states.items() if state != "ok"] if isinstance(states, dict) else []
    return ", ".join(bad) or "its dependencies"
