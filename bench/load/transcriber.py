"""`python -m bench.load.transcriber`: the transcriber as it is, with the engine of this package for its child."""

import sys

from common import entry
from services.transcriber.__main__ import serve
from services.transcriber.child import Engine
from services.transcriber.settings import Settings


def main() -> None:
    settings = entry.settings("transcriber", Settings)
    entry.run("transcriber", serve(settings, Engine(limits=settings.limits, command=(sys.executable, "-m", "bench.load.engine"))))


if __name__ == "__main__":
    main()
