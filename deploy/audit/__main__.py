"""`./run audit`: known vulnerabilities and licences of the packages, or with `image NAME...` what images give away."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.audit import image, licences, packages
from deploy.audit.packages import AuditFailed
from deploy.local.service import REPOSITORY

_REQUIREMENTS = REPOSITORY / "requirements"
_PIP_AUDIT = REPOSITORY / ".verbatim" / "audit" / "bin" / "pip-audit"
_TRANSCRIBER = (*image.WRITABLE, "var/lib/verbatim/models", "var/lib/verbatim/scratch")
_SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run audit")
    parser.add_argument("what", nargs="?", choices=("packages", "licences", "image"), help="packages and licences when left out")
    parser.add_argument("names", nargs="*", help="images as docker knows them, files of `docker save`, or folders with the files of one")
    options = parser.parse_args(arguments)
    if options.what == "image":
        return max([_image(name) for name in options.names], default=0)
    wanted = {"packages": [_packages], "licences": [_licences], None: [_licences, _packages]}[options.what]
    return max(check() for check in wanted)


def _packages() -> int:
    status = 0
    for lock in licences.LOCKS:
        try:
            found = packages.audit(_PIP_AUDIT, _REQUIREMENTS / f"{lock}.txt")
        except AuditFailed as error:
            print(f"✗ {lock}: {error}")
            status = 1
            continue
        for vulnerable in found.vulnerable:
            print(f"✗ {lock}: {vulnerable}")
        if found.unknown:
            print(f"✗ {lock}: {len(found.unknown)} of {len(found.dependencies)} packages could not be looked up. Does the package index")
            print(f"  tell of vulnerabilities? A mirror may not. {', '.join(found.unknown[:_SHOWN])}")
        if found.vulnerable or found.unknown:
            status = 1
        else:
            print(f"✓ {lock}: {len(found.dependencies)} packages without known vulnerabilities")
    return status


def _licences() -> int:
    names = set[str]().union(*(licences.locked(_REQUIREMENTS / f"{lock}.txt") for lock in licences.LOCKS))
    found = list(licences.examine(names))
    for each in found:
        print(f"{'✗' if each.objection else ' '} {each.name:32} {each.objection or each.licence}")
    for name, carried in licences.CARRIES.items():
        print(f"! {name}: {carried}")
    wrong = sum(bool(each.objection) for each in found)
    print(f"{'✗' if wrong else '✓'} {len(found)} packages, {wrong} with terms that are not known to be permissive")
    return int(wrong > 0)


def _image(name: str) -> int:
    given, writable = Path(name), _TRANSCRIBER if "transcriber" in name else image.WRITABLE
    if given.is_dir():
        found, sound = image.scan_root(given, writable), "can write nowhere else, no borrowed rights, no secrets"
    else:
        with tempfile.TemporaryDirectory(prefix="verbatim-audit-") as folder:
            archive = given if given.is_file() else _saved(name, Path(folder))
            found, sound = image.scan(archive, writable), "runs as nobody special, can write nowhere else, no borrowed rights, no secrets"
    for wrong in found:
        print(f"✗ {name}: {wrong}")
    if not found:
        print(f"✓ {name}: {sound}")
    return int(bool(found))


def _saved(name: str, folder: Path) -> Path:
    archive = folder / "image.tar"
    subprocess.run(["docker", "save", "--output", archive, name], check=True)
    return archive


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
