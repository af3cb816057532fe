"""A service's image has the packages that its code imports, and not only those that a checkout has for all of them together."""

import re
import sys
from importlib import metadata

import grimp
import pytest

from deploy.local.service import REPOSITORY

SERVICES = ("ingest", "transcriber", "notifier", "janitor")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports what, wherever in a module it stands."""
    return grimp.build_graph("common", "services", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_imports_is_locked_for_it(graph: grimp.ImportGraph, service: str) -> None:
    """By itself or by what it shares with the others; a package that is only in another service's lock would end it at its start."""
    text = (REPOSITORY / "requirements" / f"{service}.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    providers = metadata.packages_distributions()
    imported = (
        {name.partition(".")[0] for name in _reached(graph, f"services.{service}")} - {"common", "services"} - sys.stdlib_module_names
    )
    assert "msgspec" in imported
    assert {name for name in imported if not locked & {_normal(each) for each in providers.get(name, ())}} == set()


def _reached(graph: grimp.ImportGraph, service: str) -> set[str]:
    """All that a service's modules import, and what that imports; with a module the packages run that it lies in."""
    found: set[str] = set()
    ahead = {service, *graph.find_descendants(service)}
    while ahead:
        module = ahead.pop()
        found.add(module)
        parts = module.split(".")
        packages = {".".join(parts[:depth]) for depth in range(1, len(parts))}
        ahead |= (packages | graph.find_modules_directly_imported_by(module)) - found
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
