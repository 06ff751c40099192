"""Each example of docs/workflows.md, run as it stands there on the running stack."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.live import OVER, Live

pytestmark = [pytest.mark.e2e]

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"
_BLOCK = re.compile(r"^```json (\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """A workflow of the page with what follows it. `needed` are agents and workflows that the page has shown before."""

    text: str
    needed: list[tuple[str, str, str]]
    inputs: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] | None = None
    event: dict[str, Any] | None = None
    output: Any = None

    @property
    def name(self) -> str:
        return str(json.loads(self.text)["name"])


def examples() -> Iterator[Example]:
    shown: list[tuple[str, str, str]] = []
    current: Example | None = None
    for kind, name, text in _BLOCK.findall(PAGE.read_text()):
        if kind == "agent" or name:
            shown.append((kind, name, text))
        elif kind == "workflow":
            current = Example(text=text, needed=list(shown))
        elif current is not None:
            setattr(current, kind, json.loads(text))
            if kind == "output":
                yield current


def test_the_page_has_an_example_of_every_kind_of_step() -> None:
    texts = " ".join(example.text for example in examples())
    for word in (
        "CONDITION",
        "LOOP",
        "PARALLEL",
        "WAIT",
        "approval",
        "input",
        "event",
        "duration",
        "fallback",
        "cases",
    ):
        assert f'"{word}"' in texts


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
async def test_the_example_gives_what_the_page_says(example: Example, live: Live) -> None:
    workflow = await made(example, live)
    execution_id = await live.start(workflow, inputs=example.inputs)
    if example.answer or example.event:
        await live.until(execution_id, lambda execution: execution["waits"])
    if example.answer:
        answered = await live.api.post(f"/executions/{execution_id}/resume", example.answer)
        assert answered.is_success, answered.text
    if example.event:
        sent = await live.api.post("/events", example.event)
        assert sent.is_success, sent.text
    ended = await live.until(execution_id, lambda execution: execution["status"] in OVER)
    assert ended["status"] == "COMPLETED", ended["error"]
    assert ended["outputs"] == example.output


async def made(example: Example, live: Live) -> dict[str, Any]:
    """The example's workflow, with the agents and workflows that it uses."""
    ids: dict[str, str] = {}

    def body(text: str) -> dict[str, Any]:
        filled = re.sub(r"<id of (\w+)>", lambda match: ids[match[1]], text)
        return dict(json.loads(filled))

    for kind, name, text in example.needed:
        if kind == "agent":
            ids[name] = (await live.api.active_agent(**body(text)))["id"]
        else:
            ids[name] = (await live.api.made("/workflows", body(text) | {"status": "ACTIVE"}))["id"]
    return await live.api.made("/workflows", body(example.text) | {"status": "ACTIVE"})
