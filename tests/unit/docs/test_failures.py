"""The codes that a failed job may have, as they are documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from services import transcriber
from services.transcriber import protocol

TRANSCRIBER = Path(next(iter(transcriber.__path__)))
DOCUMENT = TRANSCRIBER.parents[1] / "docs" / "api" / "failures.md"
ROW = re.compile(r"^\| (`[^|]+`) \| (yes|no) \|", re.MULTILINE)
ARCHIVES = {"clips", "archives.py"}
ELSEWHERE = {("worker_lost", True), ("workers_lost", False), ("storage_unavailable", True), ("object_missing", False)}
"""What the store and the janitor find."""

UNSEEN = {"cancelled", "engine_loading"}
"""Nobody waits for the first; the second keeps the service from being ready."""

TRANSIENT = {"TransientError": True, "PermanentError": False}


def failures(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Codes, and whether the job is tried again: of errors, of what the engine tells its parent, and of tables of either."""
    named = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(error), args=[ast.Constant(str(code)), *_]) if error in TRANSIENT:
                yield code, TRANSIENT[error]
            case ast.Call(func=ast.Name(error), args=[ast.Name(name), *_]) if error in TRANSIENT and name in named:
                yield str(named[name]), TRANSIENT[error]
            case ast.Call(func=ast.Attribute(attr="Failed"), args=[_, ast.Constant(str(code)), *_]):
                yield code, True
            case ast.Call(func=ast.Attribute(attr="Failed"), args=[_, ast.Attribute(ast.Name("protocol"), name), *_]):
                yield getattr(protocol, name), True
            case ast.Tuple([ast.Constant(str(code)), ast.Constant(str())]) if code.startswith("engine_"):
                yield code, False


def test_every_code_is_documented_and_no_other() -> None:
    """Programs act on codes: docs/api/failures.md has each, and whether the job is tried again."""
    paths = (path for path in TRANSCRIBER.rglob("*.py") if not ARCHIVES & set(path.relative_to(TRANSCRIBER).parts))
    made = {found for path in paths for found in failures(ast.parse(path.read_text())) if found[0] not in UNSEEN} | ELSEWHERE
    made |= {("diarization_unavailable", False), ("diarization_failed", False)}  # by a variable, in `speech_turns`
    documented = {(code, again == "yes") for codes, again in ROW.findall(DOCUMENT.read_text()) for code in re.findall(r"`(\w+)`", codes)}
    assert len(made) > 30
    assert made == documented
