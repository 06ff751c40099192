"""What a retry takes over from the run before it: the records whose outcome would be the same again.

a record is taken over when
    its step has ended: COMPLETED, or with a failure that was dealt with
    the step is the same in both plans, and so is what decides about the containers around it
    all that it depends on is taken over, or skipped for a reason that still holds
    the items before it are, in a loop that goes one by one with `previous`
    the retry does not start from it, nor from something that it lies in
a container's own record is not when the retry starts from something inside it
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flows.plan import Plan, PlanLoop, PlanStep
from flows.runtime.paths import containers_of, lies_in, step_at
from flows.states import FAILED_STEPS, StepStatus

_ITEM = re.compile(r"\[\d+\]")
_PREVIOUS = re.compile(r"\bprevious\b")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The newest attempt of a step. `finished` says that no other attempt was to follow."""

    id: UUID
    step_key: str
    path: str
    attempt: int
    status: StepStatus
    finished: bool


class Reuse:
    """Decides about the records of one run, for a retry of it under `now`."""

    def __init__(self, ran: Collection[Ran], before: Plan, now: Plan, from_step: str | None = None) -> None:
        self._ran = {each.path: each for each in ran}
        self._before = before
        self._now = now
        self._from_step = from_step
        self._reopened = frozenset(containers_of(from_step)) if from_step else frozenset[str]()
        self._kept: dict[str, bool] = {}
        self._settled: dict[str, bool] = {}
        self._alike: dict[str, bool] = {}
        self._in_turn: dict[str, bool] = {}

    def stays(self, path: str) -> bool:
        """Whether the step at `path`, however far it came, would be reached again and be the same."""
        step = step_at(self._now, path)
        return step is not None and self._is_same(path, step) and self._may_stay(path, step)

    def kept(self) -> list[Ran]:
        """The records to take over. Items of loops are decided on in their order, which bounds the recursion."""
        paths = sorted(self._ran, key=_in_order)
        for path in paths:
            self._settles(path)
        return [self._ran[path] for path in paths if self._is_kept(path)]

    def _is_kept(self, path: str) -> bool:
        if path not in self._kept:
            self._kept[path] = False  # a plan has no cycles; a stored one that had would end here
            self._kept[path] = self._decide(path)
        return self._kept[path]

    def _decide(self, path: str) -> bool:
        ran, step = self._ran[path], step_at(self._now, path)
        if step is None or path in self._reopened or not _has_ended(ran, step):
            return False
        return self.stays(path)

    def _settles(self, path: str) -> bool:
        """Whether a dependency needs no other outcome: it is taken over, or skipped as it was."""
        ran = self._ran.get(path)
        if ran is None or ran.status is not StepStatus.SKIPPED:
            return ran is not None and self._is_kept(path)
        if path not in self._settled:
            self._settled[path] = self.stays(path)
        return self._settled[path]

    def _may_stay(self, path: str, step: PlanStep) -> bool:
        if self._from_step is not None and lies_in(path, self._from_step):
            return False
        return self._is_reached(path, step) and all(self._holds(each) for each in containers_of(path))

    def _is_reached(self, path: str, step: PlanStep) -> bool:
        body = path[: len(path) - len(step.step_key)]
        return all(self._settles(f"{body}{key}") for key in step.depends_on)

    def _holds(self, place: str) -> bool:
        """Whether a container around a record, or an item of it, would run as it did."""
        container, bracket, index = place.rpartition("[")
        if bracket and index.endswith("]") and index[:-1].isdigit():
            return self._item_follows(container, int(index[:-1]))
        step, earlier = step_at(self._now, place), step_at(self._before, place)
        if step is None or earlier is None:
            return True  # a branch, which is no step
        return _shell(step) == _shell(earlier) and self._is_reached(place, step)

    def _item_follows(self, container: str, index: int) -> bool:
        """In a loop that goes one by one an item needs the item before it to stay as it was."""
        loop = step_at(self._now, container)
        if index == 0 or loop is None or loop.loop is None or not self._goes_one_by_one(container, loop.loop):
            return True
        earlier = f"{container}[{index - 1}]"
        return all(self._settles(f"{earlier}.{each.step_key}") for each in loop.loop.steps)

    def _goes_one_by_one(self, container: str, loop: PlanLoop) -> bool:
        place = _ITEM.sub("", container)
        if place not in self._in_turn:
            refers = loop.max_concurrency == 1 and _PREVIOUS.search(loop.model_dump_json()) is not None
            self._in_turn[place] = loop.condition is not None or refers
        return self._in_turn[place]

    def _is_same(self, path: str, step: PlanStep) -> bool:
        if self._before is self._now:
            return True
        place = _ITEM.sub("", path)
        if place not in self._alike:
            earlier = step_at(self._before, path)
            same = earlier is not None and _signature(earlier, self._before) == _signature(step, self._now)
            self._alike[place] = same
        return self._alike[place]


def _has_ended(ran: Ran, step: PlanStep) -> bool:
    if ran.status is StepStatus.COMPLETED:
        return True
    is_dealt_with = step.continue_on_failure or step.fallback is not None
    return ran.status in FAILED_STEPS and ran.finished and is_dealt_with


def _shell(step: PlanStep) -> Mapping[str, Any]:
    """What decides which bodies a container runs, and on what."""
    shell: dict[str, Any] = {"type": step.type, "gates": step.gates, "fallbackOf": step.fallback_of}
    if step.loop is not None:
        shell |= {"items": step.loop.items, "while": step.loop.condition, "batch": step.loop.batch_size}
    return shell


def _signature(step: PlanStep, plan: Plan) -> Mapping[str, Any]:
    """What decides a step's outcome, as far as the plan does."""
    signature: dict[str, Any] = {**_shell(step), "inputs": step.inputs, "config": step.config, "cases": step.cases}
    signature |= {"wait": step.wait, "fallback": step.fallback, "agent": _agent(step, plan)}
    signature |= {"fusedInto": step.fused_into, "lazyInputs": step.lazy_inputs}
    if step.loop is not None:
        signature |= {"collect": step.loop.collect, "limit": step.loop.max_iterations}
        signature["steps"] = {each.step_key: _signature(each, plan) for each in step.loop.steps}
    if step.parallel is not None:
        signature["until"] = step.parallel.wait
        signature["branches"] = {
            name: {each.step_key: _signature(each, plan) for each in steps}
            for name, steps in step.parallel.branches.items()
        }
    return signature


def _agent(step: PlanStep, plan: Plan) -> tuple[Any, ...] | None:
    """Whom the step runs, with the version of the workflow behind a WORKFLOW agent."""
    if step.agent is None:
        return None
    spec, child = plan.agents[step.agent], plan.children.get(step.agent)
    return spec.id, spec.version, (child.workflow.id, child.workflow.version) if child else None


def _in_order(path: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def step_from(path: str, ran: Collection[Ran], now: Plan) -> str:
    """The full path of the step that `path` names: as it stands, or a bare key of one step that has run.

    Raises `KeyError` where there is none, `LookupError` with the candidates where there are several.
    """
    paths = {each.path for each in ran}
    items = [place for place in (path, *containers_of(path)) if place.endswith("]")]
    if step_at(now, path) is not None and all(any(lies_in(each, item) for each in paths) for item in items):
        return path
    found = sorted((each.path for each in ran if each.step_key == path and step_at(now, each.path)), key=_in_order)
    if not found:
        raise KeyError(path)
    if len(found) > 1:
        raise LookupError(*found)
    return found[0]
