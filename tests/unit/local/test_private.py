"""What a server must find again after a restart."""

import stat
from pathlib import Path

from deploy.local.private import Private, write_private


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    """Another object, as after a restart, finds the same secret."""
    first = Private(tmp_path / "private.json").secret("password")
    assert Private(tmp_path / "private.json").secret("password") == first


def test_secrets_of_two_checkouts_differ(tmp_path: Path) -> None:
    """A secret is random, never derived from a name."""
    assert Private(tmp_path / "a.json").secret("password") != Private(tmp_path / "b.json").secret("password")


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    """Mode 0600 from its first byte on, whatever the umask."""
    path = tmp_path / "private.json"
    Private(path).secret("password")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing but the new content remains, and no temporary file beside it."""
    path = tmp_path / "file"
    write_private(path, b"a longer text")
    write_private(path, b"short")
    assert path.read_bytes() == b"short"
    assert list(tmp_path.iterdir()) == [path]


def test_a_port_is_kept_until_another_one_is_insisted_on(tmp_path: Path) -> None:
    """Clients have the address; but who says a port again means it."""
    private = Private(tmp_path / "private.json")
    kept = private.claim_ports({"http": None})["http"]
    other = Private(tmp_path / "other.json").claim_ports({"http": None})["http"]
    assert private.claim_ports({"http": other})["http"] == kept
    assert private.claim_ports({"http": other}, preferred_first=True)["http"] == other
    assert private.port("http") == other
