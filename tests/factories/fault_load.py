"""Runs of all kinds, started one after another by a client that asks again until it has an answer."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.factories.api import step
from tests.fixtures.live import Live

Workflow = tuple[dict[str, Any], Any]
"""A workflow and the outputs of each of its runs."""


@dataclass(kw_only=True)
class Load:
    """Starts runs until told to stop, `most` at most; knows what each must give."""

    live: Live
    workflows: list[Workflow]
    pause_seconds: float
    most: int
    expected: dict[str, Any] = field(default_factory=dict)
    """Outputs by execution."""
    stopped: bool = False

    async def run(self) -> None:
        """Starts one run after another, of each kind in turn."""
        while not self.stopped and len(self.expected) < self.most:
            await self.start_one()
            await asyncio.sleep(self.pause_seconds)

    async def start_one(self) -> None:
        """Starts the next run."""
        workflow, outputs = self.workflows[len(self.expected) % len(self.workflows)]
        self.expected[await self._started(workflow)] = outputs

    async def _started(self, workflow: dict[str, Any]) -> str:
        """Asked again with the same key until there is an answer: whatever was lost on the way, it runs once."""
        key = uuid4().hex
        while True:
            try:
                path = f"/workflows/{workflow['id']}/execute"
                answer = await self.live.api.send("POST", path, {}, **{"Idempotency-Key": key})
            except httpx.HTTPError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code == 201:
                return str(answer.json()["data"]["executionId"])
            assert answer.status_code >= 500 or answer.status_code == 409, answer.text
            await asyncio.sleep(0.5)


async def all_kinds(live: Live) -> list[Workflow]:
    """A chain, a loop, branches, a wait, a nested workflow, a condition; their steps touch nothing."""
    more = await live.code("import time\ntime.sleep(0.2)\nreturn {'n': input['n'] + 1}")
    total = await live.code("return {'sum': sum(each['n'] for each in input['items'])}")
    chain = [_more(more, "s0", 0), *(_more(more, f"s{n}", f"{{{{ s{n - 1}.output.n }}}}", f"s{n - 1}") for n in _NEXT)]
    return [
        (await live.api.active_workflow(steps=chain), {"s5": {"n": 6}}),
        (await live.api.active_workflow(steps=_loop(more, total)), {"total": {"sum": 20}}),
        (await live.api.active_workflow(steps=_branches(more)), {"both": {"left": {"n": 2}, "right": {"n": 4}}}),
        (await live.api.active_workflow(steps=_wait(more)), {"b": {"n": 9}}),
        (await live.api.active_workflow(steps=await _nested(live, chain)), {"after": {"n": 7}}),
        (await live.api.active_workflow(steps=_condition(more)), {"join": {"n": 3}}),
    ]


_NEXT = range(1, 6)


def _more(agent: dict[str, Any], key: str, n: Any, *depends_on: str) -> dict[str, Any]:
    return step(key, agent, inputs={"n": n}, dependsOn=list(depends_on))


def _loop(more: dict[str, Any], total: dict[str, Any]) -> list[dict[str, Any]]:
    each = {"items": [1, 2, 3, 4, 5], "maxConcurrency": 2, "steps": [_more(more, "one", "{{ item }}")]}
    items = "{{ each.output['items'] }}"
    return [
        {"stepKey": "each", "type": "LOOP", "config": each},
        step("total", total, inputs={"items": items}, dependsOn=["each"]),
    ]


def _branches(more: dict[str, Any]) -> list[dict[str, Any]]:
    left, right = [_more(more, "one", 1)], [_more(more, "two", 2), _more(more, "three", "{{ two.output.n }}", "two")]
    return [
        {
            "stepKey": "both",
            "type": "PARALLEL",
            "config": {"branches": {"left": {"steps": left}, "right": {"steps": right}}},
        }
    ]


def _wait(more: dict[str, Any]) -> list[dict[str, Any]]:
    config = {"kind": "duration", "seconds": 4}
    pause = {"stepKey": "pause", "type": "WAIT", "config": config, "dependsOn": ["a"]}
    return [_more(more, "a", 7), pause, _more(more, "b", "{{ a.output.n }}", "pause")]


async def _nested(live: Live, chain: list[dict[str, Any]]) -> list[dict[str, Any]]:
    inner = await live.api.active_workflow(steps=chain, output={"n": "{{ s5.output.n }}"})
    nested = await live.agent("WORKFLOW", {"workflowId": inner["id"]})
    more = await live.code("return {'n': input['n'] + 1}")
    return [step("inner", nested), _more(more, "after", "{{ inner.output.n }}", "inner")]


def _condition(more: dict[str, Any]) -> list[dict[str, Any]]:
    choice = {"expression": "first.output.n > 0", "then": ["yes"], "else": ["no"]}
    return [
        _more(more, "first", 0),
        {"stepKey": "big", "type": "CONDITION", "config": choice, "dependsOn": ["first"]},
        _more(more, "yes", "{{ first.output.n }}"),
        _more(more, "no", 100),
        _more(more, "join", "{{ yes.output.n }}", "yes", "no"),
    ]
