"""The decoder's keeper: what it makes of a decoder that works, breaks, hangs, spins or is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from common.errors import PermanentError, TransientError, VerbatimError
from services.transcriber.engine.decoder import messages
from services.transcriber.engine.decoder.keeper import COMMAND, Decoder
from services.transcriber.engine.decoder.messages import Ask
from services.transcriber.engine.failures import Cancelled
from tests.hostile.flac import flac

SCRIPTED = (sys.executable, "-m", "tests.scripted_decoder")
LIMIT = 2**30


@pytest.fixture(scope="module")
def scripted() -> Iterator[Decoder]:
    """It does what the file says."""
    with closing(Decoder(memory=LIMIT, seconds=60, command=SCRIPTED)) as decoder:
        yield decoder


def told(folder: Path, script: str) -> Path:
    path = folder / "source"
    path.write_text(script)
    return path


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        ("crash", PermanentError, "unsupported_media"),
        ("abort", PermanentError, "unsupported_media"),
        ("exhaust", PermanentError, "memory_limit"),
        ("overrun", PermanentError, "time_limit"),
        ("killed", TransientError, "engine_died"),
        ("nonsense", TransientError, "engine_died"),
    ],
)
def test_what_becomes_of_a_file_that_breaks_its_decoder(
    scripted: Decoder, tmp_path: Path, script: str, kind: type[VerbatimError], code: str
) -> None:
    """It fails for good, unless the decoder was ended by somebody else; the next file is decoded by a new one, and nothing is left."""
    with pytest.raises(kind) as failure:
        scripted.read(told(tmp_path, script), "mix")
    assert failure.value.code == code
    assert len(scripted.read(told(tmp_path, "succeed"), "mix").samples[0]) == 16_000
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_whoever_hangs_is_ended(tmp_path: Path) -> None:
    """At the limit, with the next decoder there at once."""
    with closing(Decoder(memory=LIMIT, seconds=0.3, command=SCRIPTED)) as decoder:
        before = decoder.pid
        with pytest.raises(PermanentError) as failure:
            decoder.read(told(tmp_path, "hang"), "mix")
        assert failure.value.code == "time_limit"
        assert decoder.pid != before


def test_a_file_that_nobody_waits_for_is_let_go(scripted: Decoder, tmp_path: Path) -> None:
    """Long before the limit, with the next decoder there at once."""
    before, asked = scripted.pid, iter([None, Cancelled()])

    def stay() -> None:
        if (cancelled := next(asked, None)) is not None:
            raise cancelled

    with pytest.raises(Cancelled):
        scripted.read(told(tmp_path, "hang"), "mix", stay=stay)
    assert scripted.pid != before
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    assert scripted.read(told(tmp_path, "succeed"), "mix", stay=stay).channels == 1


def test_what_an_earlier_file_did_is_not_held_against_the_next(scripted: Decoder, tmp_path: Path) -> None:
    """A file on which a decoder breaks that has worked before is tried once more, on a new one."""
    for script in ("crash later", "exhaust later"):
        scripted.read(told(tmp_path, "succeed"), "mix")
        before = scripted.pid
        assert scripted.read(told(tmp_path, script), "mix").channels == 1
        assert scripted.pid != before


def test_the_kernel_ends_whoever_spins(tmp_path: Path) -> None:
    """CPU time has a limit even when nobody is there to look at the clock."""
    asked = Ask(source=str(told(tmp_path, "spin")), channels="mix", language=None, folder=str(tmp_path), seconds=0.1)
    done = subprocess.run(SCRIPTED, input=messages.encode(asked) + b"\n", timeout=120, check=False)
    assert done.returncode == -signal.SIGXCPU


_SEALED = """
import socket, sys
from services.transcriber.confinement import sealed
with open(sys.argv[1]) as before, sealed(9):
    for attempt in (lambda: open(sys.argv[1]), socket.socket):
        try:
            attempt()
        except OSError as error:
            print(error.errno)
    print(before.read())
open(sys.argv[1]).close()
"""


def test_nothing_can_be_opened_while_a_file_is_looked_at(tmp_path: Path) -> None:
    """Neither another file nor a connection, whatever the code that looks at it does; what is open can be read."""
    (tmp_path / "recording").write_text("sound")
    done = subprocess.run([sys.executable, "-c", _SEALED, tmp_path / "recording"], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["24", "24", "sound"]


def test_it_knows_nothing_that_it_need_not(tmp_path: Path) -> None:
    """Passwords and keys of the engine's environment are not in the decoder's."""
    with closing(Decoder(memory=LIMIT, seconds=1, command=SCRIPTED, environ={"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x"})) as decoder:
        assert "AWS_SECRET_ACCESS_KEY" not in psutil.Process(decoder.pid).environ()


def test_the_end_of_the_engine_is_the_decoders(tmp_path: Path) -> None:
    """Nobody can hear the answer any more: it ends at once, in the middle of a file.

    Its input is a file, whose end comes with its only line, however slow the one who asks; and hours take it some seconds to decode.
    """
    (tmp_path / "source").write_bytes(flac(6 * 3_600, 8_000))
    asked = Ask(source=str(tmp_path / "source"), channels="mix", language=None, folder=str(tmp_path), seconds=60)
    (tmp_path / "input").write_bytes(messages.encode(asked) + b"\n")
    with (tmp_path / "input").open() as input_:
        done = subprocess.run([*COMMAND, str(LIMIT)], stdin=input_, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
