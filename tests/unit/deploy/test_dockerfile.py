"""The images: a target per service, nothing installed that is not locked, nothing that runs as root."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deploy.image import healthcheck

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))
SERVICES = ("ingest", "transcriber", "notifier", "janitor")


@pytest.mark.parametrize("service", SERVICES)
def test_a_target_runs_its_service(service: str) -> None:
    """The image of a service has that service's packages and starts its module."""
    assert f"COPY --from=build-{service} /opt/verbatim /opt/verbatim" in STAGES[service]
    assert f"requirements/{service}.txt" in STAGES[f"build-{service}"]
    assert re.search(rf'^ENTRYPOINT .*\bservices\.{service}"\]$', STAGES[service], re.MULTILINE)
    assert re.search(rf"^FROM runtime AS {service}$", DOCKERFILE, re.MULTILINE)


def test_the_base_can_be_chosen_and_is_the_only_one() -> None:
    """Everything stands on one image of Python, whose tag is an argument with a version for its default."""
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)[0] == "python:${PYTHON_TAG}"
    assert re.search(r"^ARG PYTHON_TAG=\d+\.\d+-slim", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {
        "python:${PYTHON_TAG}",
        "python",
        "build",
        "build-transcriber",
        "runtime",
    }


def test_nothing_is_installed_unhashed() -> None:
    """pip either checks hashes or is not allowed to ask an index."""
    commands = re.findall(r"\bpip (?:--python \S+ )?(?:install|wheel).*", DOCKERFILE)
    assert commands
    assert all("--require-hashes" in command or "--no-index" in command for command in commands)


def test_no_index_is_named() -> None:
    """Where packages come from is the builder's business."""
    assert not re.search(r"https?://|index-url", DOCKERFILE)


def test_the_build_backend_is_named_with_all_that_it_needs() -> None:
    """The stanzas taken out of the lock are enough to build the wheel."""
    found = re.search(r"wanted = /\^\(([^)]+)\)==/", STAGES["app"])
    assert found is not None
    requirements = [Requirement(text) for text in metadata.requires("hatchling") or []]
    needed = {requirement.name for requirement in requirements if requirement.marker is None or requirement.marker.evaluate({"extra": ""})}
    assert {"hatchling"} | needed <= set(found[1].split("|"))


def test_it_runs_as_nobody_special() -> None:
    """By number, so that an orchestrator can see that it is not root; told to stop by SIGTERM; asked whether it lives."""
    assert re.search(r"^USER 10001:10001$", STAGES["runtime"], re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", STAGES["runtime"], re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .*"live"\]$', STAGES["runtime"], re.MULTILINE)
    assert not any(re.search(r"^USER ", STAGES[service], re.MULTILINE) for service in SERVICES)


def test_only_what_is_copied_is_given_away() -> None:
    """A directory that COPY has to make on its way belongs to the service as well, which could then replace what is in it."""
    for stage in SERVICES:
        for target in re.findall(r"^COPY .*--chown=10001:10001 \S+ (\S+)$", STAGES[stage], re.MULTILINE):
            assert re.search(rf"\bmkdir {Path(target).parent}$", STAGES["runtime"], re.MULTILINE)


def test_torch_is_the_transcribers_alone() -> None:
    """What makes an image eight gigabytes large stays out of the three others."""
    heavy = {"torch", "torchaudio", "whisperx", "ctranslate2", "pyannote-audio", "numpy"}
    for service in ("ingest", "notifier", "janitor"):
        locked = re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements" / f"{service}.txt").read_text(), re.MULTILINE)
        assert not heavy & set(locked)


@pytest.mark.parametrize(
    ("environ", "port"), [({"PORT": "8080"}, 8080), ({"HEALTH_PORT": "8081"}, 8081), ({"HEALTH_PORT": "", "PORT": "9000"}, 9000)]
)
def test_the_health_check_asks_where_the_service_answers(environ: dict[str, str], port: int) -> None:
    """ingest answers on its own port, the others on the one made for it."""
    assert healthcheck.port(environ) == port
