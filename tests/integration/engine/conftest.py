"""One engine for all tests of a session: its models are loaded once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine.child import Child
from tests.recordings import sample


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A child that is ready, and keeps checkpoints where it is given a place for them."""
    with Child(tmp_path_factory.mktemp("engine"), CHECKPOINT_LEAST_SECONDS="0") as child:
        child.wait_ready()
        yield child


@pytest.fixture(scope="session")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Diane and Sheila's telephone conversation as a file."""
    path = tmp_path_factory.mktemp("audio") / "conversation.wav"
    path.write_bytes(sample())
    return path
