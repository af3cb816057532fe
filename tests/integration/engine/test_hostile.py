"""Recordings that mean harm: each ends with a code that is known, within its limits, and the next one is decoded."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from common.errors import PermanentError
from services.transcriber.engine import media
from services.transcriber.engine.decoder.keeper import Decoder
from services.transcriber.engine.media import Lanes
from tests.hostile import bombs, damage, lies, pointers
from tests.hostile.item import HEARD, Item
from tests.hostile.recordings import recordings
from tests.integration.engine.child import Child
from tests.recordings import wav

MEMORY = 256 * 2**20
SECONDS = 60
SEED = 7

Reader = Callable[[Path], Lanes]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """With less memory than it has outside of tests, and less time, though enough for all of these where the machine is slow."""
    with closing(Decoder(memory=MEMORY, seconds=SECONDS)) as real:
        yield real


def end(read: Reader, folder: Path, data: bytes) -> str:
    """What a recording ends as."""
    path = folder / "upload"
    path.write_bytes(data)
    try:
        read(path)
    except PermanentError as error:
        return error.code
    return HEARD


LIGHT = [item for item in bombs.items() + lies.items() if not item.heavy]


@pytest.mark.parametrize("item", LIGHT, ids=[item.name for item in LIGHT])
def test_what_is_larger_than_it_looks(decoder: Decoder, tmp_path: Path, item: Item) -> None:
    """Bombs and lies end as they should in a fraction of the memory that they would take, and the next recording is decoded."""
    assert end(lambda path: decoder.read(path, "mix"), tmp_path, item.make()) in item.ends
    assert end(lambda path: decoder.read(path, "split"), tmp_path, wav(bytes(3_200))) == HEARD


def test_damage_has_a_code(decoder: Decoder, tmp_path: Path) -> None:
    """Cut off, with bits turned, or with another's head: heard as far as it goes, or refused for good."""
    for item in damage.items(recordings(tmp_path), SEED, each=4):
        assert end(lambda path: decoder.read(path, "auto"), tmp_path, item.make()) in item.ends, item.name


@pytest.mark.parametrize("confined", [True, False])
def test_no_upload_points_anywhere(decoder: Decoder, conversation: Path, tmp_path: Path, *, confined: bool) -> None:
    """Playlists and scripts are refused, whatever they name; nobody connects to what they name, and no secret comes out.

    Also by the decoder's rules alone, without the kernel's.
    """
    secret = tmp_path / "secret.wav"
    secret.write_bytes(conversation.read_bytes())
    read = partial(decoder.read if confined else media.read, channels="mix")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        for item in pointers.items(secret, listener.getsockname()[1]):
            assert end(read, tmp_path, item.make()) in item.ends, item.name
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_hostile_recording_costs_the_engine_nothing(engine: Child, tmp_path: Path) -> None:
    """The same engine, with its models loaded, hears the next recording."""
    (tmp_path / "bomb.mp4").write_bytes(bombs.packed_index())
    (tmp_path / "silence.wav").write_bytes(wav(bytes(32_000)))
    refused = engine.refuse(tmp_path / "bomb.mp4")
    assert (refused.code, refused.transient) == (bombs.NO_MEMORY, False)
    assert engine.transcribe(tmp_path / "silence.wav").duration == 1.0
