"""What a process that was killed has left on the disk."""

import subprocess
import sys
from pathlib import Path

from services.transcriber.scratch import scratch

_KILLED = """
import os, pathlib, signal, sys
from services.transcriber.scratch import scratch
with scratch(pathlib.Path(sys.argv[1])) as folder:
    (folder / "recording").write_bytes(b"sound")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_takes_away_what_a_killed_one_left(tmp_path: Path) -> None:
    """Its recordings do not stay; those of a process that lives do, and so does what is not ours."""
    (tmp_path / "verbatim-notes").mkdir()
    with scratch(tmp_path) as living:
        subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
        assert len(list(tmp_path.glob("verbatim-*/recording"))) == 1
        with scratch(tmp_path) as other:
            assert sorted(tmp_path.glob("verbatim-*")) == sorted([living, other, tmp_path / "verbatim-notes"])
        assert living.is_dir()
    assert sorted(tmp_path.glob("verbatim-*")) == [tmp_path / "verbatim-notes"]
