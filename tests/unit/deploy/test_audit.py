"""The audit finds what it is there for: each fault is put into a made image, licence or report, and told."""

import io
import tarfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.audit import image, licences
from deploy.audit.packages import AuditFailed, Findings, audit
from deploy.local.service import REPOSITORY

REQUIREMENTS = REPOSITORY / "requirements"


class Made:
    """An image as `docker save` writes it: layers of (name, mode, owner, content); None is a directory, and a text a link."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "image.tar"
        self.config: dict[str, Any] = {"User": "10001:10001", "Env": ["PATH=/opt/verbatim/bin", "GPG_KEY=A035C8C19219BA82"]}
        self.history = ["RUN /bin/sh -c pip install --require-hashes -r ingest.txt"]
        self.layers: list[list[tuple[str, int, int, bytes | str | None]]] = [
            [
                ("usr/bin/python", 0o755, 0, b"ELF"),
                ("tmp", 0o1777, 0, None),
                ("bin", 0o777, 0, "usr/bin"),
                ("dev/null", 0o666, 0, b""),
                ("srv/shared", 0o2755, 0, None),
            ],
            [("opt/app/services/ingest/keys.py", 0o644, 0, b'PREFIX = "vb_"\n')],
        ]

    def scan(self, *writable: str) -> list[str]:
        config = {"config": self.config, "history": [{"created_by": text} for text in self.history]}
        names = [f"{number}/layer.tar" for number in range(len(self.layers))]
        parts = {"config.json": msgspec.json.encode(config)} | dict(zip(names, map(_tar, self.layers), strict=True))
        parts["manifest.json"] = msgspec.json.encode([{"Config": "config.json", "Layers": names}])
        self.path.write_bytes(_tar((name, 0o644, 0, content) for name, content in parts.items()))
        return image.scan(self.path, (*image.WRITABLE, *writable))


def _tar(entries: Iterable[tuple[str, int, int, bytes | str | None]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode, owner, content in entries:
            member = tarfile.TarInfo(name)
            member.mode, member.uid, member.gid = mode, owner, owner
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_a_sound_image_has_no_findings(made: Made) -> None:
    """Nobody special, no borrowed rights, nothing to write to but what is declared."""
    made.layers[1].append(("var/lib/verbatim/models", 0o755, image.USER, None))
    assert made.scan("var/lib/verbatim/models") == []


@pytest.mark.parametrize("user", ["", "0:0", "root"])
def test_root_is_found(made: Made, user: str) -> None:
    """By name, by number, and by default."""
    made.config["User"] = user
    assert made.scan() == [f"runs as {user or 'root'}"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (("usr/bin/su", 0o4755, 0, b"ELF"), "/usr/bin/su runs with its owner's or group's rights"),
        (("usr/bin/chage", 0o2755, 0, b"ELF"), "/usr/bin/chage runs with its owner's or group's rights"),
        (("var/tmp", 0o1777, 0, None), "/var/tmp can be written to by the service"),  # noqa: S108 - a finding
        (("opt/app/services", 0o755, image.USER, None), "/opt/app/services can be written to by the service"),
        (("etc/pip.conf", 0o644, 0, b"[global]"), "/etc/pip.conf looks like a secret by its name"),
        (("opt/app/.env", 0o644, 0, b"A=b"), "/opt/app/.env looks like a secret by its name"),
        (("opt/app/a.py", 0o644, 0, b"KEY = 'vb_" + b"x" * 43 + b"'"), "/opt/app/a.py has a secret in it: vb_"),
        (("etc/a.pem", 0o644, 0, b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 64), "/etc/a.pem has a secret in it: -----BEGIN"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_file_that_should_not_be_there_is_found(made: Made, entry: tuple[str, int, int, bytes | None], told: str) -> None:
    """By its rights, its owner, its name or what is in it."""
    made.layers[1].append(entry)
    [found] = made.scan()
    assert found.startswith(told)


def test_examples_are_no_secrets(made: Made) -> None:
    """What the API's documentation shows looks like a key on purpose, as does what a package's tests use; another beside it is found."""
    shown = b"".join((REPOSITORY / "services" / "ingest" / name).read_bytes() for name in ("contract.py", "examples.py"))
    shown += Path(str(metadata.distribution("transformers").locate_file("transformers/testing_utils.py"))).read_bytes()
    made.layers[1].append(("opt/app/services/ingest/examples.py", 0o644, 0, shown))
    assert made.scan() == []
    made.layers[1].append(("opt/app/a.py", 0o644, 0, shown + b"whsec_" + b"x" * 40))
    assert len(made.scan()) == 1


def test_a_secret_that_a_later_layer_removes_is_found(made: Made) -> None:
    """It is still in the image; rights, on the other hand, are those that a container sees."""
    made.layers[0] += [("root/.netrc", 0o600, 0, b"machine x"), ("usr/bin/su", 0o4755, 0, b"ELF"), ("srv/a/b", 0o666, 0, b"")]
    made.layers[1] += [("root/.wh..netrc", 0o600, 0, b""), ("usr/bin/su", 0o755, 0, b"ELF"), ("srv/a/.wh..wh..opq", 0o600, 0, b"")]
    assert made.scan() == ["/root/.netrc looks like a secret by its name"]


def test_a_folder_of_files_is_looked_into_likewise(tmp_path: Path) -> None:
    """Links are not followed: what they name is looked at where it lies."""
    (tmp_path / "tmp").mkdir(mode=0o1777)
    (tmp_path / "opt").mkdir(mode=0o755)
    (tmp_path / "bin").symlink_to("opt")
    (tmp_path / "opt" / "a.py").write_text("KEY = 'vb_" + "x" * 43 + "'")
    assert image.scan_root(tmp_path) == ["/opt/a.py has a secret in it: vb_xxxxxxxxx…"]
    (tmp_path / "opt" / "a.py").write_text("")
    (tmp_path / "opt" / "a.py").chmod(0o4756)
    found = image.scan_root(tmp_path)
    assert [each.partition(" (")[0] for each in found] == [
        "/opt/a.py runs with its owner's or group's rights",
        "/opt/a.py can be written to by the service",
    ]


@pytest.mark.parametrize(
    "text", ["DATABASE_URL=postgresql://x", "HF_TOKEN=hf_x", "RUN pip install -i https://me:word@index.example/simple"]
)
def test_a_secret_in_environment_or_history_is_found(made: Made, text: str) -> None:
    """Both can be read by whoever has the image."""
    made.config["Env"].append(text)
    made.history.append(text)
    assert len(made.scan()) == 2


def test_every_package_comes_under_known_terms() -> None:
    """What a service needs may be used and passed on by anybody; what is otherwise is named, and said why."""
    names = set[str]().union(*(licences.locked(REQUIREMENTS / f"{lock}.txt") for lock in licences.LOCKS))
    found = list(licences.examine(names))
    assert len(found) > 100
    assert [f"{each.name}: {each.objection}" for each in found if each.objection] == []
    assert licences.KNOWN.keys() | licences.CARRIES.keys() <= names


@pytest.mark.parametrize(
    ("licence", "objects"),
    [
        ("MIT", False),
        ("Apache-2.0 AND (MIT OR BSD-3-Clause)", False),
        ("BSD License; Apache Software License", False),
        ("GPL-3.0-or-later", True),
        ("MIT AND LGPL-2.1-only", True),
        ("", True),
    ],
)
def test_terms_that_are_not_permissive_are_objected_to(licence: str, *, objects: bool) -> None:
    """Every part of an expression has to be; who says nothing is not trusted."""
    assert bool(licences.judge("something", licence).objection) is objects


def test_a_package_that_was_not_looked_up_is_not_called_sound(tmp_path: Path) -> None:
    """pip-audit ends well when the index does not tell; we do not."""
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]},
            {"name": "b", "version": "1", "vulns": []},
            {"name": "c", "skip_reason": "not found"},
        ]
    }
    found = audit(_program(tmp_path, msgspec.json.encode(report).decode()), REQUIREMENTS / "janitor.txt")
    assert isinstance(found, Findings)
    assert (found.vulnerable, found.unknown) == (["a 1: PYSEC-1, mended in 2"], ["c"])
    with pytest.raises(AuditFailed):
        audit(_program(tmp_path, "no report"), REQUIREMENTS / "janitor.txt")


def _program(folder: Path, output: str) -> Path:
    program = folder / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat <<'E'\n{output}\nE\n")
    program.chmod(0o755)
    return program
