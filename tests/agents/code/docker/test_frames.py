"""Frames come in pieces of any size."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.code.docker.frames import MAX_FRAME_BYTES, BrokenFrames, Frames

FRAME = st.tuples(st.integers(0, 3), st.binary(max_size=40))


@given(frames=st.lists(FRAME, max_size=8), sizes=st.lists(st.integers(1, 13), min_size=1, max_size=5))
def test_whole_frames_come_out_however_the_stream_is_cut(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    own = b"".join(struct.pack(">BI", kind, len(payload)) + payload for kind, payload in frames)
    cut = [own[at : at + sizes[0]] for at in range(0, len(own), sizes[0])]
    stream = b"".join(struct.pack(">BxxxI", 1, len(part)) + part for part in cut)
    reader, found, at, turn = Frames(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += list(reader.feed(stream[at : at + size]))
        at, turn = at + size, turn + 1
    assert found == frames
    assert reader.complaint == b""


def test_what_the_container_complains_of_is_kept_and_bounded() -> None:
    reader = Frames()
    assert list(reader.feed(struct.pack(">BxxxI", 2, 6000) + b"python3: not found" + b"!" * 5982)) == []
    assert reader.complaint.startswith(b"python3: not found")
    assert len(reader.complaint) == 4096


@pytest.mark.parametrize(
    "head", [struct.pack(">BxxxI", 1, MAX_FRAME_BYTES + 1), struct.pack(">BxxxI", 1, 5) + b"\x01" + b"\xff" * 4]
)
def test_nobody_is_believed_about_sizes(head: bytes) -> None:
    with pytest.raises(BrokenFrames):
        list(Frames().feed(head))
