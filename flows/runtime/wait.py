"""WAIT steps: each opens its record, rests until it has an answer or its time is over, and closes it.

While the run stays in its process it looks for answers once a second, for all its waits together. A run in which only
waits are left is suspended; it comes back with an answer on record, or when a wait is due, and its waits go on.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from agents.errors import AgentError, AgentTimeout, ConfigInvalid
from flows.compiler.expressions import render
from flows.compiler.schemas import schema_problems
from flows.compiler.values import text_of
from flows.errors import ExpressionFailed
from flows.runtime.ports import Answer, Journal, Wait
from flows.runtime.record import Produced, for_record, recorded, unbroken
from flows.runtime.surroundings import StepAt
from flows.spec import WaitConfig, WaitKind

LOOK_SECONDS = 1.0
"""How often a run that stays in its process looks for answers."""

LONGEST_SLEEP_SECONDS = 60.0
"""A clock that is set forward is noticed after this long."""

LONGEST_SECONDS = 100 * 366 * 24 * 3600.0
"""Of a duration: what a time of day can still hold."""


class WaitSteps:
    """Runs the WAIT steps of a run."""

    def __init__(self) -> None:
        self._looks: dict[UUID, _Answers] = {}

    async def run(self, at: StepAt) -> Any:
        """Waits, and gives what the wait brought; raises `StepFailed`."""

        async def work() -> Produced:
            wait = await _opened(at)
            with self._looking(at) as answers:
                answer = await answers.to(at.path) if _is_answered(wait) else None
                if answer is None:
                    with at.around.activity.waiting(wait.due_at):
                        answer = await _answer(answers, at, wait)
            await at.around.activity.left()
            return Produced(output=_output(at, wait, answer))

        return await recorded(at, work=work, opens_itself=True)

    @contextmanager
    def _looking(self, at: StepAt) -> Iterator["_Answers"]:
        run_id = at.around.run.execution_id
        answers = self._looks.setdefault(run_id, _Answers(at.around.ports.journal, run_id))
        answers.users += 1
        try:
            yield answers
        finally:
            answers.users -= 1
            if not answers.users:
                self._looks.pop(run_id, None)


@dataclass
class _Answers:
    """The answers of one run, read for all its waits together."""

    journal: Journal
    run_id: UUID
    users: int = 0
    _known: Mapping[str, Answer] = field(default_factory=dict)
    _seen_at: float = -math.inf
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def to(self, path: str, *, fresh: bool = False) -> Answer | None:
        """The answer that lies at `path`: as of now when `fresh`, of the last second otherwise."""
        loop = asyncio.get_running_loop()
        not_before = loop.time() - (0.0 if fresh else LOOK_SECONDS)
        async with self._turn:
            if self._seen_at < not_before:
                begun = loop.time()
                self._known = await self.journal.answers(self.run_id)
                self._seen_at = begun
        return self._known.get(path)


async def _opened(at: StepAt) -> Wait:
    """The wait as it is on record, from now on at the latest."""
    around, config = at.around, _config(at)
    journal, execution_id = around.ports.journal, around.run.execution_id
    try:
        wait = await _rendered(at, config)
    except (ExpressionFailed, AgentError):
        shown = for_record(around.log.masking.json(at.step.config))
        await unbroken(journal.step_started(execution_id, at.attempt, inputs=shown))
        raise
    return await unbroken(journal.wait_opened(execution_id, at.attempt, wait))


async def _answer(answers: _Answers, at: StepAt, wait: Wait) -> Answer | None:
    """The first answer, or None once the wait is due; an answer that came in time counts, however late it is read."""
    now = at.around.ports.now
    while True:
        left = (wait.due_at - now()).total_seconds() if wait.due_at else math.inf
        if _is_answered(wait) and (answer := await answers.to(at.path, fresh=left <= 0)):
            return answer
        if left <= 0:
            return None
        await asyncio.sleep(min(left, LOOK_SECONDS if _is_answered(wait) else LONGEST_SLEEP_SECONDS))


def _is_answered(wait: Wait) -> bool:
    """Whether somebody or something else than time ends it."""
    return wait.kind not in (WaitKind.DURATION, WaitKind.UNTIL)


def _output(at: StepAt, wait: Wait, answer: Answer | None) -> Any:
    now = at.around.ports.now()
    if not _is_answered(wait):
        return {"waitedSeconds": round(max(0.0, (now - wait.opened_at).total_seconds()), 3)}
    if answer is None:
        return _given_up(at, wait, now)
    if wait.kind is WaitKind.APPROVAL:
        return _approval(at, answer)
    return answer.data.get("data") if wait.kind is WaitKind.INPUT else answer.data


def _given_up(at: StepAt, wait: Wait, now: datetime) -> Any:
    config = _config(at)
    match config.on_timeout:
        case "CONTINUE":
            return at.step.default
        case "APPROVE" | "REJECT" as verdict:
            data = {"approved": verdict == "APPROVE", "comment": None}
            return _approval(at, Answer(data=data, by=None, via="", at=now))
        case _:
            what = "No such event came" if wait.kind is WaitKind.EVENT else "Nobody answered"
            raise AgentTimeout(f"{what} within {config.timeout_seconds or 0:g} s")


def _approval(at: StepAt, answer: Answer) -> dict[str, Any]:
    approved, comment = bool(answer.data.get("approved")), answer.data.get("comment")
    if approved or _config(at).on_reject == "CONTINUE":
        when = answer.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"approved": approved, "by": answer.by, "comment": comment, "at": when}
    refused = "The approval was refused" if answer.via else "Nobody answered in time, which counts as a refusal"
    raise AgentError(f"{refused}: {comment}" if comment else refused, code="REJECTED")


def _config(at: StepAt) -> WaitConfig:
    assert at.step.wait is not None  # the compiler sets it for every WAIT step
    return at.step.wait


async def _rendered(at: StepAt, config: WaitConfig) -> Wait:
    """What the config says, with its templates filled in and times made instants."""
    texts = {
        "seconds": config.seconds,
        "at": config.at,
        "message": config.message,
        "form": config.form,
        "assignees": list(config.assignees),
        "event_type": config.event_type,
    }
    filled = render(texts, await at.scope(texts))
    masking, now = at.around.log.masking, at.around.ports.now()
    return Wait(
        kind=config.kind,
        opened_at=now,
        due_at=_due_at(config, filled, now),
        message=masking(text_of(filled["message"])) if filled["message"] is not None else None,
        form=config.form if filled["form"] == config.form else await _checked_form(masking.json(filled["form"])),
        assignees=tuple(map(_assignee, filled["assignees"])),
        event_type=text_of(filled["event_type"]) if filled["event_type"] is not None else None,
        filter=config.filter,
    )


def _assignee(value: Any) -> str:
    """Nothing and an empty text name nobody, and a question to nobody would never be answered."""
    if value is None or value == "":
        hint = "an assignee is the id of a user, or a role in the tenant"
        raise ConfigInvalid("A template of `assignees` gives nothing", path="config.assignees", hint=hint)
    return text_of(value)


def _due_at(config: WaitConfig, filled: Mapping[str, Any], now: datetime) -> datetime | None:
    if config.kind is WaitKind.DURATION:
        return now + _seconds(filled["seconds"])
    if config.kind is WaitKind.UNTIL:
        return _instant(filled["at"])
    return now + timedelta(seconds=config.timeout_seconds) if config.timeout_seconds else None


def _seconds(value: Any) -> timedelta:
    with contextlib.suppress(TypeError, ValueError):
        seconds = math.nan if isinstance(value, bool) else float(value)
        if 0 <= seconds <= LONGEST_SECONDS:
            return timedelta(seconds=seconds)
    raise ConfigInvalid("`seconds` must be a number that is not negative", path="config.seconds")


def _instant(value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        hint = "write it like 2026-12-24T18:00:00+01:00; without an offset it is UTC"
        raise ConfigInvalid("`at` must be an ISO-8601 time", path="config.at", hint=hint) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


async def _checked_form(schema: dict[str, Any]) -> dict[str, Any]:
    """The form's schema, whose templates may have made it another than the one that was checked when it was saved."""
    problems = await asyncio.to_thread(schema_problems, schema, "config.schema")
    if problems:
        first = problems[0]
        raise ConfigInvalid(f"`schema` is no usable JSON Schema: {first.message}", path=first.path)
    return schema
