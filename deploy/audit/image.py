"""What an image would let a service do, and what it gives away: read from `docker save` or its unpacked files, without running anything.

Rights are those of the files as a container sees them; secrets are looked for in every layer, since one that a later layer removes is still
in the image. The compose file takes away more (a read-only root, no capabilities); this is what holds where an image is run without it.
"""

import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import msgspec

USER = 10001
WRITABLE = ("tmp",)
"""What may be written to in every image."""

_SPECIAL = stat.S_ISUID | stat.S_ISGID
_READ_BYTES = 2**20
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOUNTED = ("dev", "proc", "sys")

_NAMES = re.compile(
    r"(^|/)(\.env|\.netrc|\.pypirc|\.git-credentials|pip\.conf|id_(rsa|dsa|ecdsa|ed25519)|credentials)$|(^|/)(\.git|\.aws|\.ssh)/"
)
_CONTENTS = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}"
    rb"|\bvb_[A-Za-z0-9_-]{43}|\bwhsec_[A-Za-z0-9+/]{32}|\bhf_[A-Za-z0-9]{34}|\bAKIA[0-9A-Z]{16}\b(?<!EXAMPLE)"
)
_SHOWN = (b"vb_3pX0Zk1sQ", b"whsec_bm90IG", b"hf_94wBhPGp6")
"""How the keys begin that the API's own documentation shows, and the one in transformers' aids for its own tests; they open nothing."""

_VARIABLE = re.compile(r"(PASSWORD|SECRET|TOKEN|(?<!GPG_)KEY|DATABASE_URL|AMQP_URL)[A-Z_]*=\S")
_USERINFO = re.compile(r"://[^/\s:@]+:[^/\s@]+@")


class Manifest(msgspec.Struct, frozen=True):
    """The names of an image's configuration and layers in its archive."""

    config: str = msgspec.field(name="Config")
    layers: list[str] = msgspec.field(name="Layers")


class Entry(NamedTuple):
    """A file, directory or link as the last layer that has it says."""

    mode: int
    uid: int
    gid: int
    link: bool


def scan(archive: Path, writable: tuple[str, ...] = WRITABLE) -> list[str]:
    """What is wrong with the image in `archive`; nothing, when a service can only do and tell what it is meant to."""
    with tarfile.open(archive) as saved:
        [manifest] = msgspec.json.decode(_read(saved, "manifest.json"), type=list[Manifest])
        config = msgspec.json.decode(_read(saved, manifest.config))
        tree: dict[str, Entry] = {}
        found = [*_configured(config)]
        for name in manifest.layers:
            found += _unpack(saved.extractfile(name), tree)
    return [*found, *_rights(tree, writable)]


def scan_root(root: Path, writable: tuple[str, ...] = WRITABLE) -> list[str]:
    """The same of a root's files, wherever they were unpacked: how it is started is not told there, nor what layers have covered."""
    tree: dict[str, Entry] = {}
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [each for each in folders if Path(folder) != root or each not in _MOUNTED]
        for path in (Path(folder, each) for each in (*folders, *files)):
            name, status = str(path.relative_to(root)), path.lstat()
            tree[name] = Entry(status.st_mode, status.st_uid, status.st_gid, path.is_symlink())
            if stat.S_ISREG(status.st_mode):
                found += _secrets(name, status.st_size, path.read_bytes)
    return [*found, *_rights(tree, writable)]


def _configured(config: Mapping[str, Any]) -> Iterator[str]:
    """How it is started, and what its history tells."""
    inner = config.get("config", {})
    user = str(inner.get("User", ""))
    if user.partition(":")[0] in {"", "0", "root"}:
        yield f"runs as {user or 'root'}"
    for text in (*(inner.get("Env") or ()), *(step.get("created_by", "") for step in config.get("history", ()))):
        if _VARIABLE.search(text) or _USERINFO.search(text):
            yield f"a secret in its configuration or history: {text.partition('=')[0][:60]}…"


def _unpack(layer: IO[bytes] | None, tree: dict[str, Entry]) -> Iterator[str]:
    """Lay a layer over the tree; tells the secrets in it."""
    assert layer is not None
    with tarfile.open(fileobj=layer, mode="r:*") as files:
        for member in files:
            name = str(PurePosixPath("/", member.name))[1:]
            path = PurePosixPath(name)
            if path.name == _OPAQUE:
                _remove(tree, str(path.parent), itself=False)
                continue
            if path.name.startswith(_WHITEOUT):
                _remove(tree, str(path.with_name(path.name.removeprefix(_WHITEOUT))), itself=True)
                continue
            tree[name] = Entry(member.mode | (stat.S_IFDIR if member.isdir() else stat.S_IFREG), member.uid, member.gid, member.issym())
            if member.isfile():
                yield from _secrets(name, member.size, partial(_read, files, member))


def _secrets(name: str, size: int, read: Callable[[], bytes]) -> Iterator[str]:
    if _NAMES.search(name) and size:
        yield f"/{name} looks like a secret by its name"
    if size <= _READ_BYTES:
        for match in _CONTENTS.finditer(read()):
            if not match[0].startswith(_SHOWN):
                yield f"/{name} has a secret in it: {match[0][:12].decode()}…"


def _remove(tree: dict[str, Entry], name: str, *, itself: bool) -> None:
    for other in [other for other in tree if other.startswith(f"{name}/") or (itself and other == name)]:
        del tree[other]


def _rights(tree: Mapping[str, Entry], writable: tuple[str, ...]) -> Iterator[str]:
    for name, entry in sorted(tree.items()):
        if entry.link or name.partition("/")[0] in _MOUNTED:
            continue
        if entry.mode & _SPECIAL and not stat.S_ISDIR(entry.mode):
            yield f"/{name} runs with its owner's or group's rights ({stat.filemode(entry.mode)})"
        if _may_write(entry) and not any(name == each or name.startswith(f"{each}/") for each in writable):
            yield f"/{name} can be written to by the service ({stat.filemode(entry.mode)}, {entry.uid}:{entry.gid})"


def _may_write(entry: Entry) -> bool:
    """Owning a file is as good as writing to it: its owner may change its mode."""
    return entry.uid == USER or (entry.gid == USER and bool(entry.mode & stat.S_IWGRP)) or bool(entry.mode & stat.S_IWOTH)


def _read(saved: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    file = saved.extractfile(member)
    assert file is not None
    return file.read()
