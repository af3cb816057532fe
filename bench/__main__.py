"""Runs `bench.NAME`: each bench is a module of this package with a `main(arguments)`."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Run the named bench; its table goes to stdout, its figures as JSON to `bench/results/`."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if not module.name.startswith("_"))
    if not arguments or arguments[0] not in names:
        print(f"usage: ./run bench {{{','.join(names)}}} [options]", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    name, *rest = arguments
    importlib.import_module(f"bench.{name}").main(rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
