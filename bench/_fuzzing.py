"""`python -m bench._fuzzing NAME [libFuzzer's options]`: fuzzes one target of `tests/fuzz` until it is told to stop or something breaks."""

import sys

import atheris

with atheris.instrument_imports(include=["common", "deploy", "multipart", "services", "standardwebhooks", "tests"]):
    from tests.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]].check)
atheris.Fuzz()
