"""What programs print: case 29 (endless, binary, without a newline)."""

import pytest
from hypothesis import given, strategies

from agents.code.output import LINE_BYTES, MAX_LINES, OutputStream
from tests.agents.code.conftest import Lines

pytestmark = pytest.mark.case(29)


def logged(data: bytes, max_bytes: int = 10**9, chunk: int = 1000) -> tuple[list[str], bool]:
    log = Lines()
    stream = OutputStream("stdout", "INFO", log, max_bytes)
    for start in range(0, len(data), chunk):
        stream.feed(data[start : start + chunk])
    stream.close()
    return log.text, stream.exceeded


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\r\n\nb", ["a", "", "b"]),
        (b"\xff\x00\n", ["\ufffd\ufffd"]),
        ("ž🐈\n".encode(), ["ž🐈"]),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    assert logged(data) == (lines, False)


def test_long_lines_are_cut_between_characters() -> None:
    text = "a" + "🐈" * 10_000
    lines, _ = logged(text.encode())
    assert "".join(lines) == text
    assert max(len(line.encode()) for line in lines) <= LINE_BYTES


def test_too_many_lines_are_noted_once() -> None:
    lines, exceeded = logged(b"x\n" * (MAX_LINES * 2))
    assert len(lines) == MAX_LINES + 1
    assert "further lines of stdout are not logged" in lines[-1]
    assert not exceeded


def test_the_limit_cuts_with_a_note() -> None:
    assert logged(b"12345\n6789", max_bytes=8) == (
        ["12345", "67", "stdout was cut here: it is limited to 8 bytes"],
        True,
    )


def test_the_limit_itself_is_still_allowed() -> None:
    assert logged(b"12345678", max_bytes=8) == (["12345678"], False)


@given(data=strategies.binary(max_size=40_000), limit=strategies.integers(0, 40_000))
def test_any_bytes_come_through_bounded(data: bytes, limit: int) -> None:
    lines, exceeded = logged(data, max_bytes=limit)
    assert exceeded == (len(data) > limit)
    if not exceeded:
        assert sum(len(line.encode()) for line in lines) <= 3 * len(data)
    assert not any("\n" in line or "\0" in line for line in lines)
