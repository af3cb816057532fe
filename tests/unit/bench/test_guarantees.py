"""Guarantees name tests that exist, and guards that are where they are said to be."""

import re

import pytest

from deploy.local.service import REPOSITORY
from tests.guards import GUARDS, Guard

_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")

_OWN = ("model/", "unit/", "crash/")


def _documented() -> list[str]:
    """The tests that the page's rows name, by their path from the root."""
    rows = [line for line in (REPOSITORY / "docs" / "architecture" / "guarantees.md").read_text().splitlines() if line.startswith("|")]
    found = _NAMED.findall("\n".join(rows))
    return [f"tests/{'' if path.startswith(_OWN) else 'integration/'}{path}::{name}" for path, name in found]


def test_every_test_that_is_named_exists() -> None:
    """A test that is renamed or removed takes its row along."""
    for node in _documented():
        path, _, name = node.partition("::")
        assert re.search(rf"^(?:async )?def {name}\(", (REPOSITORY / path).read_text(), re.MULTILINE), f"there is no {node}"


def test_guards_are_for_what_is_guaranteed() -> None:
    """Each test that must notice a guard's removal stands for one guarantee, and each guarantee has a guard of its own."""
    documented = _documented()
    assert {guard.test for guard in GUARDS} == set(documented)
    assert len(documented) == len(set(documented)), "of a test of two guarantees, a guard does not say which it keeps"


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_guards_are_there(guard: Guard) -> None:
    """What `./run bench guards` takes out is what stands in the sources: who changes it says in tests/guards.py how it reads now."""
    assert guard.text in (REPOSITORY / guard.file).read_text()
