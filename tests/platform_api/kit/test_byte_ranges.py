"""Which bytes a `Range` asks for."""

import pytest

from platform_api.errors import RangeNotSatisfiable
from platform_api.kit.byte_ranges import requested_span

TAG = '"abc"'


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("bytes = 2 - 4", (2, 5)),
        ("bytes=7-", (7, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=5-999999", (5, 10)),
    ],
)
def test_one_span(asked: str, expected: tuple[int, int]) -> None:
    span = requested_span(asked, None, size=10, etag=TAG)
    assert span is not None
    assert (span.start, span.stop) == expected
    assert span.bytes == expected[1] - expected[0]


@pytest.mark.parametrize(
    "asked", [None, "", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "rows=0-1", "bytes=a-b"]
)
def test_what_is_no_span_gives_the_whole(asked: str | None) -> None:
    assert requested_span(asked, None, size=10, etag=TAG) is None


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_span_behind_the_end_is_refused_with_the_size(asked: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        requested_span(asked, None, size=10, etag=TAG)
    assert caught.value.headers == {"Content-Range": "bytes */10"}


def test_if_range_holds_for_the_same_tag_alone() -> None:
    assert requested_span("bytes=0-1", TAG, size=10, etag=TAG) is not None
    for other in ('"abd"', f"W/{TAG}", "Sat, 21 Nov 2026 10:00:00 GMT"):
        assert requested_span("bytes=0-1", other, size=10, etag=TAG) is None
        assert requested_span("bytes=50-", other, size=10, etag=TAG) is None
