"""A guard is noticed by a test that fails, not by one that could not begin."""

import pytest

from bench._phases import Shown, shown

_FINE = ["setup passed", "call passed", "teardown passed"]


@pytest.mark.parametrize(
    ("phases", "code", "told"),
    [
        ([*_FINE, *_FINE], 0, "passes"),
        ([*_FINE, "setup passed", "call failed", "teardown passed"], 1, "fails"),
        (["setup passed", "call failed", "teardown failed"], 1, "fails"),
        (["setup passed", "call failed"], 1, "fails"),
        ([*_FINE, "setup passed"], 1, "hangs"),
        (["setup failed", "teardown passed"], 1, "errors"),
        (_FINE, 1, "errors"),
        (["setup passed", "call passed", "teardown failed"], 1, "errors"),
        (["setup passed", "call passed"], 1, "errors"),
        ([], 1, "errors"),
        ([], 2, "errors"),
        ([], -9, "errors"),
    ],
)
def test_what_a_run_shows(phases: list[str], code: int, told: Shown) -> None:
    """Failed and hanging bodies are told from fixtures that do, from errors of collection, and from a death in between."""
    assert shown(phases, code) == told
