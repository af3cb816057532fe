"""Known vulnerabilities of the locked packages, as pip-audit finds them out from the package index.

A package that could not be looked up counts as not audited, never as sound: pip-audit by itself ends well with those.
"""

import subprocess
from pathlib import Path

import msgspec


class Vulnerability(msgspec.Struct, frozen=True):
    id: str
    fix_versions: list[str] = []


class Dependency(msgspec.Struct, frozen=True):
    """With a `skip_reason` nothing is known about it."""

    name: str
    version: str | None = None
    vulns: list[Vulnerability] = []
    skip_reason: str | None = None


class Findings(msgspec.Struct, frozen=True):
    """What pip-audit reports."""

    dependencies: list[Dependency]

    @property
    def vulnerable(self) -> list[str]:
        return [
            f"{found.name} {found.version}: {one.id}, mended in {', '.join(one.fix_versions) or 'no version yet'}"
            for found in self.dependencies
            for one in found.vulns
        ]

    @property
    def unknown(self) -> list[str]:
        return [found.name for found in self.dependencies if found.skip_reason is not None]


class AuditFailed(Exception):
    """pip-audit has told nothing."""


def audit(program: Path, requirements: Path) -> Findings:
    """Look up all that the file locks. Raises `AuditFailed`."""
    options = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")
    done = subprocess.run([program, "--requirement", requirements, *options], capture_output=True, text=True, check=False)
    try:
        return msgspec.json.decode(done.stdout, type=Findings)
    except msgspec.DecodeError:
        raise AuditFailed(done.stderr.strip() or f"pip-audit ended with {done.returncode}") from None
