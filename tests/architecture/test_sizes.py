"""Files and functions stay small. One that has to be large says why: `# long: <reason>` on its first line."""

import re
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, functions, python_files, source

FILE_LINES, FUNCTION_LINES = 400, 50
REASON = re.compile(r"# long: \S+")


def too_long(path: Path, text: str, *, factor: int = 1) -> list[str]:
    """Lines that name a file or function over its limit without a reason."""
    lines = text.splitlines()
    found = []
    if len(lines) > FILE_LINES * factor and not REASON.search(lines[0]):
        found.append(f"{path}: {len(lines)} lines")
    for function in functions(path):
        size = (function.end_lineno or function.lineno) - function.lineno + 1
        if size > FUNCTION_LINES * factor and not REASON.search(lines[function.lineno - 1]):
            found.append(f"{path}:{function.lineno} {function.name}: {size} lines")
    return found


@pytest.mark.parametrize(("tops", "factor"), [((*PACKAGES, "migrations"), 1), (("tests",), 2)])
def test_nothing_grows_past_its_limit_without_a_reason(tops: tuple[str, ...], factor: int) -> None:
    files = [path for path in python_files(*tops) if "versions" not in path.parts]
    assert files
    assert [line for path in files for line in too_long(path, source(path), factor=factor)] == []


def test_a_long_file_is_noticed_and_a_reason_is_heard() -> None:
    here = Path("tests/architecture/test_sizes.py")
    assert too_long(here, "x = 1\n" * 401) == [f"{here}: 401 lines"]
    assert too_long(here, "x = 1  # long: generated\n" + "x = 1\n" * 401) == []
