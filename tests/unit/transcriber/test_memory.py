"""How much memory can still be had."""

import os
from pathlib import Path

from services.transcriber import memory

MIB = 2**20


def test_the_machine_and_the_container_bound_it(tmp_path: Path) -> None:
    """The less of the two, where both say; files that the kernel keeps in memory can go."""
    machine = tmp_path / "meminfo"
    assert memory.free(machine, tmp_path) is None
    machine.write_text("MemTotal:       8192 kB\nMemAvailable:   4096 kB\nHugePages_Total: 0\n")
    assert memory.free(machine, tmp_path) == 4 * MIB
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{7 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon {4 * MIB}\nfile {3 * MIB}\n")
    assert memory.free(machine, tmp_path) == 4 * MIB
    (tmp_path / "memory.max").write_text(f"{6 * MIB}\n")
    assert memory.free(machine, tmp_path) == 2 * MIB


def test_a_process_that_is_gone_has_none() -> None:
    """And one that is there has some, on systems that say so."""
    assert memory.resident(2**30) is None
    if Path("/proc/self/statm").exists():
        assert (memory.resident(os.getpid()) or 0) > 0
