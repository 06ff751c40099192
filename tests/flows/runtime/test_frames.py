"""What names mean in a body: the innermost first, nothing copied, stored outputs read when they are named."""

from typing import Any

import orjson
import pytest

from flows.compiler.expressions import render
from flows.errors import UnresolvedReference
from flows.runtime.frames import Frame
from tests.fakes.runtime import MemoryResults


def nested() -> tuple[Frame, Frame]:
    root = Frame(names={"inputs": {"n": 1}})
    root.put("load", {"rows": 3})
    inner = root.inner("each[3].", {"item": "x", "index": 3})
    inner.put("fetch", [1, 2])
    return root, inner


async def filled(frame: Frame, document: Any, results: MemoryResults | None = None, **extra: Any) -> Any:
    return render(document, await frame.scope(document, results or MemoryResults(), **extra))


async def test_a_body_sees_its_own_steps_and_those_around_it() -> None:
    _, inner = nested()
    document = ["{{ fetch.output }}", "{{ load.output.rows }}", "{{ steps.load.output.rows }}", "{{ item }}{{ index }}"]
    assert await filled(inner, document) == [[1, 2], 3, 3, "x3"]
    assert inner.path("fetch") == "each[3].fetch"
    assert inner.inner("both.left.").path("s") == "each[3].both.left.s"


async def test_outside_nothing_of_the_inside_is_seen() -> None:
    root, _ = nested()
    for document in ("{{ fetch.output }}", "{{ steps.fetch.output }}", "{{ item }}"):
        with pytest.raises(UnresolvedReference):
            await filled(root, document)


async def test_the_innermost_loop_has_the_say_over_item() -> None:
    _, inner = nested()
    assert await filled(inner.inner("deep[0].", {"item": "y", "index": 0}), "{{ item }}{{ index }}") == "y0"


async def test_what_is_missing_is_told_with_what_there_is() -> None:
    _, inner = nested()
    with pytest.raises(UnresolvedReference, match="fetch, item, index, load, inputs"):
        await filled(inner, "{{ nothing.output }}")


async def test_extra_names_come_first() -> None:
    root, _ = nested()
    assert await filled(root, "{{ secrets.A }}", secrets={"A": "a"}) == "a"


async def test_a_stored_output_is_read_once_when_it_is_named() -> None:
    results = MemoryResults()
    root, inner = nested()
    root.put_stored("big", await results.keep_json(orjson.dumps({"n": 7})))
    root.put_stored("other", "memory://nowhere")
    assert await filled(inner, "{{ big.output.n }}", results) == 7
    results.stored.clear()
    assert await filled(inner, "{{ steps.big.output.n }}", results) == 7
    assert await root.output("big", results) == {"n": 7}


async def test_values_are_handed_on_as_they_are() -> None:
    root, _ = nested()
    rows = [{"n": 1}]
    root.put("rows", rows)
    assert await filled(root, "{{ rows.output }}") is rows
