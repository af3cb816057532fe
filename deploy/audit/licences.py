"""Under what terms the packages come that are installed: permissive ones, and a few others that are known and said why.

What a package says of itself is taken for true: its licence expression, else its classifiers, else the licence field.
"""

import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

LOCKS = ("ingest", "transcriber", "notifier", "janitor", "all")
"""What the services need in their images, and what `./run` installs: all of that, the servers that it starts, and what tests need."""

PERMISSIVE = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib"),
        # as classifiers and older fields call them
        *("3-Clause BSD License", "Apache License 2.0", "Apache Software License", "BSD", "BSD License", "MIT License"),
        "Python Software Foundation License",
        "Public Domain",
    }
)

KNOWN = {
    "atheris": "Apache-2.0 by its licence file; for tests",
    "certifi": "MPL-2.0: a list of authorities, used as it is",
    "hypothesis": "MPL-2.0: used as it is, for tests",
    "pathspec": "MPL-2.0: used as it is, for tests",
    "pytest-timeout": "MIT",
    "tqdm": "MPL-2.0 AND MIT: used as it is",
    "torchcodec": "BSD-3-Clause by its licence file",
    "pyannote-audio": "MIT by its licence file",
    "pyannote-core": "MIT by its licence file",
    "pyannote-database": "MIT by its licence file",
    "pyannote-metrics": "MIT by its licence file",
    "pyannote-pipeline": "MIT by its licence file",
    "pyannoteai-sdk": "MIT by its licence file",
}
"""What a package does not say itself, or is not quite permissive and does no harm."""

PROPRIETARY = re.compile(r"nvidia-[a-z0-9-]+")
"""What torch needs for a GPU: NVIDIA's, which allows it to be passed on with an application."""

CARRIES = {
    "av": "its wheels carry FFmpeg (LGPL-3.0-or-later), x264 and x265 (GPL-2.0-or-later): pass on an image, and you owe their sources",
}
"""Packages whose own licence does not say all."""

_LOCKED = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)
_OPERATORS = re.compile(r"\s+(?:AND|OR)\s+|; |[()]")


class Licensed(NamedTuple):
    """A package and its terms; `objection` is empty when there is none."""

    name: str
    licence: str
    objection: str


def locked(requirements: Path) -> set[str]:
    """The packages that a file of locked requirements names."""
    return set(_LOCKED.findall(requirements.read_text()))


def examine(names: Iterable[str]) -> Iterator[Licensed]:
    """Each package that is installed; others are for other systems than this."""
    for name in sorted(names):
        try:
            found = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        yield judge(name, _said(found))


def judge(name: str, licence: str) -> Licensed:
    """What is to be said about it."""
    if name in KNOWN:
        return Licensed(name, KNOWN[name], "")
    if PROPRIETARY.fullmatch(name):
        return Licensed(name, "NVIDIA's", "")
    terms = [term for term in _OPERATORS.split(licence) if term]
    objection = "" if terms and all(term in PERMISSIVE for term in terms) else f"{licence or 'no licence'} is not known to be permissive"
    return Licensed(name, licence, objection)


def _said(found: metadata.PackageMetadata) -> str:
    def first(name: str) -> str:
        return next(iter(found.get_all(name) or ()), "").strip().partition("\n")[0]

    classifiers = [text.rpartition(" :: ")[2] for text in found.get_all("Classifier") or () if text.startswith("License ::")]
    return first("License-Expression") or "; ".join(classifiers) or first("License")
