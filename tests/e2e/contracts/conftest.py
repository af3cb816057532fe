"""Node, once for all tests that run clients in JavaScript."""

import pytest

from tests.e2e.contracts import node as nodes
from tests.e2e.contracts.node import Node


@pytest.fixture(scope="session")
def node() -> Node:
    """Node with the packages of `package-lock.json`; the others run without."""
    return nodes.installed()
