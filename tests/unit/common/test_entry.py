"""How a service's process begins."""

import gc

from common import entry


def test_what_was_imported_is_no_garbage() -> None:
    """The collector does not look again at what stays for as long as the process lives."""

    async def serve() -> None:
        assert gc.get_freeze_count() > 1_000

    try:
        entry.run("test", serve())
    finally:
        gc.unfreeze()
