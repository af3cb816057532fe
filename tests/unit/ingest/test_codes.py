"""Every refusal of the native API: in the table that clients read, under its status, and in a test that shows its body."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
INGEST = REPOSITORY / "services" / "ingest"
# Of APIs that have errors of their own form, and are tested by them.
OTHERS = {"compat", "openai", "call.py"}
# Where the code is a variable: what it may be.
VARIABLE = {("admission.py", 429): {"queue_full", "quota_exceeded"}, ("problems.py", 503): {"database_unavailable", "storage_unavailable"}}
# Nobody is left to read it, and nothing a client sends may lead to it.
UNSEEN = {"client_disconnected", "server_error"}
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
ROW = re.compile(r"\| (\d{3}) \| (`[^|]+) \|")


def refusals() -> Iterator[tuple[str, int]]:
    """Codes with their statuses, as the source says them: in a `Problem`, or in a table of what becomes one."""
    for path in INGEST.rglob("*.py"):
        if OTHERS & set(path.relative_to(INGEST).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("Problem" | "Broken"), args=[ast.Constant(int(status)), ast.Constant(str(code)), *_]):
                    yield code, status
                case ast.Call(func=ast.Name("Problem"), args=[ast.Constant(int(status)), _, *_]):
                    yield from ((code, status) for code in VARIABLE[path.name, status])
                case ast.Tuple([ast.Constant(int(status)), ast.Constant(str(code)), *_]) if CODE.fullmatch(code):
                    yield code, status
                case ast.Dict() if path.name == "problems.py":
                    for key, value in zip(node.keys, node.values, strict=True):
                        match key, value:
                            case ast.Constant(int(status)), ast.Tuple([ast.Constant(str(code)), _]):
                                yield code, status


def documented() -> set[tuple[str, int]]:
    rows = ROW.findall((REPOSITORY / "docs" / "api" / "errors.md").read_text())
    return {(code, int(status)) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}


def test_the_table_has_every_code() -> None:
    """docs/api/errors.md names each with its status, and none that there is not."""
    found = set(refusals())
    assert len(found) > 60
    assert documented() == found


def test_every_code_is_shown_by_a_test() -> None:
    """Some test expects it, by name."""
    shown = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py") if path != Path(__file__))
    assert {code for code, _ in refusals() if f'"{code}"' not in shown} - UNSEEN == set()
