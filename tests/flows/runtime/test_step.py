"""One attempt of a step: inputs resolved, limits kept, every end recorded."""

import asyncio
import base64
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import pytest

from agents.context import AgentContext
from agents.errors import AgentError
from agents.spec import AgentSpec
from flows.errors import StepFailed
from flows.plan import PlanStep
from flows.runtime.ports import NoSecrets, Run, Secrets
from flows.runtime.record import INLINE_BYTES
from flows.runtime.stage import PlainStage
from flows.runtime.step import AgentKind
from flows.runtime.surroundings import step_at
from flows.spec import RetryPolicy
from flows.states import StepStatus
from tests.fakes.runtime import MemoryJournal, MemoryResults, ScriptedExecutor, a_run, a_step, an_agent, surroundings


class Harness:
    """A step runner with everything that it writes to."""

    def __init__(
        self,
        step: PlanStep,
        executor: ScriptedExecutor | None = None,
        *,
        secrets: Secrets | None = None,
        **run: Any,
    ) -> None:
        self.executor = executor or ScriptedExecutor()
        self.run: Run = a_run(step, **run)
        self.mirrored: list[tuple[str, str, str | None]] = []
        self.around = surroundings(self.run, self.executor, mirror=self._mirror, secrets=secrets or NoSecrets())
        self.journal: MemoryJournal = self.around.ports.journal  # type: ignore[assignment]
        self.results: MemoryResults = self.around.ports.results  # type: ignore[assignment]
        self.log = self.around.log
        self.frame = self.around.root_frame()
        self._step = step

    async def attempt(self, number: int) -> Any:
        """Makes one attempt."""
        return await AgentKind().run(step_at(self._step, self.frame, self.around, PlainStage(), number))

    def _mirror(self, level: str, message: str, step_key: str | None) -> None:
        self.mirrored.append((level, message, step_key))

    async def failure(self) -> dict[str, Any]:
        with pytest.raises(StepFailed) as caught:
            await self.attempt(1)
        return caught.value.error


async def test_inputs_are_resolved_and_recorded() -> None:
    step = a_step("b", inputs={"rows": "{{ load.output.rows }}", "path": "at {{ inputs.path }}"})
    harness = Harness(step, inputs={"path": "x.csv"})
    harness.frame.put("load", {"rows": 3})
    output = await harness.attempt(1)
    assert output == {"rows": 3, "path": "at x.csv"}
    assert harness.journal.inputs["b", 1] == output
    assert harness.journal.outcomes["b", 1].status is StepStatus.COMPLETED


async def test_the_agents_config_sees_the_agents_inputs() -> None:
    seen: list[dict[str, Any]] = []

    def script(spec: AgentSpec, _inputs: dict[str, Any], _context: AgentContext) -> None:
        seen.append(spec.config)

    agent = an_agent(config={"url": "https://example.com/{{ inputs.id }}", "n": "{{ inputs.id }}"})
    harness = Harness(a_step("b", inputs={"id": 7}), ScriptedExecutor(script), agent=agent, inputs={"id": 1})
    await harness.attempt(1)
    assert seen == [{"url": "https://example.com/7", "n": 7}]


async def test_a_missing_reference_names_its_path_and_nothing_runs() -> None:
    harness = Harness(a_step("b", inputs={"rows": "{{ load.output.rowz }}"}))
    harness.frame.put("load", {"rows": 3})
    error = await harness.failure()
    assert error["code"] == "UNRESOLVED_REFERENCE"
    assert "load.output.rowz" in error["message"]
    assert harness.executor.calls == []
    assert harness.journal.outcomes["b", 1].status is StepStatus.FAILED


async def test_inputs_that_do_not_fit_the_agents_schema_are_refused() -> None:
    agent = an_agent(inputSchema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    error = await Harness(a_step("b", inputs={"n": "many"}), agent=agent).failure()
    assert error["code"] == "INPUT_INVALID"
    assert "n" in error["message"]


async def test_defaults_of_the_agents_schema_are_applied() -> None:
    agent = an_agent(inputSchema={"type": "object", "properties": {"n": {"type": "integer", "default": 4}}})
    assert await Harness(a_step("b"), agent=agent).attempt(1) == {"n": 4}


@pytest.mark.parametrize("fails", [False, True])
async def test_where_an_agents_code_ran_is_recorded_whatever_came_of_it(fails: bool) -> None:
    def script(_spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> dict[str, Any]:
        context.tell_sandbox("unsafe-local")
        if fails:
            raise AgentError("no", code="CODE_ERROR")
        return inputs

    harness = Harness(a_step("b"), ScriptedExecutor(script))
    await (harness.failure() if fails else harness.attempt(1))
    assert harness.journal.outcomes["b", 1].sandbox == "unsafe-local"


async def test_an_output_that_does_not_fit_its_schema_fails_the_step() -> None:
    agent = an_agent(outputSchema={"type": "object", "required": ["total"]})
    error = await Harness(a_step("b", inputs={"n": 1}), agent=agent).failure()
    assert error["code"] == "OUTPUT_INVALID"
    assert "total" in error["message"]


async def test_a_step_past_its_time_is_stopped() -> None:
    harness = Harness(a_step("b", inputs={"sleep": 30}, timeout_seconds=0.05))
    error = await harness.failure()
    assert error["code"] == "TIMEOUT"
    assert "timeoutSeconds" in error["hint"]
    assert harness.executor.stopped == ["a"]
    assert harness.journal.outcomes["b", 1].status is StepStatus.TIMEOUT


async def test_a_cancelled_step_is_recorded_as_cancelled() -> None:
    harness = Harness(a_step("b", inputs={"sleep": 30}))
    task = asyncio.create_task(harness.attempt(1))
    await harness.executor.called.wait()
    task.cancel("Somebody asked")
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = harness.journal.outcomes["b", 1]
    assert outcome.status is StepStatus.CANCELLED
    assert outcome.error == {"code": "CANCELLED", "message": "Somebody asked"}
    assert harness.executor.stopped == ["a"]


async def test_a_failed_attempt_counts_only_when_no_other_follows() -> None:
    policy = RetryPolicy(max_attempts=3, retry_on=("FLAKY",))
    flaky = Harness(a_step("b", inputs={"fail": "FLAKY"}, on_error="RETRY", retry=policy))
    await flaky.failure()
    assert flaky.journal.outcomes["b", 1].last is False
    hopeless = Harness(a_step("b", inputs={"fail": "OTHER"}, on_error="RETRY", retry=policy))
    await hopeless.failure()
    assert hopeless.journal.outcomes["b", 1].last is True


async def test_a_large_output_goes_to_the_result_store() -> None:
    harness = Harness(a_step("b", inputs={"text": "x" * INLINE_BYTES}))
    output = await harness.attempt(1)
    outcome = harness.journal.outcomes["b", 1]
    assert outcome.output is None
    assert outcome.output_ref in harness.results.stored
    assert len(outcome.preview) < INLINE_BYTES
    assert len(output["text"]) == INLINE_BYTES
    assert harness.journal.inputs["b", 1]["truncated"] is True


async def test_a_defect_of_an_executor_leaks_nothing() -> None:
    def script(*_: Any) -> Any:
        raise RuntimeError("password=hunter2")

    harness = Harness(a_step("b"), ScriptedExecutor(script))
    error = await harness.failure()
    assert error["code"] == "INTERNAL_ERROR"
    assert "hunter2" not in str(error)
    assert all("hunter2" not in line.message for line in harness.journal.lines)


async def test_what_an_executor_logs_is_written_before_the_step_ends() -> None:
    def script(_spec: AgentSpec, _inputs: dict[str, Any], context: AgentContext) -> None:
        context.log("WARN", "half full", rows=2)

    harness = Harness(a_step("b"), ScriptedExecutor(script))
    await harness.attempt(1)
    (line,) = harness.journal.lines
    assert (line.level, line.message, line.step_key, dict(line.metadata)) == ("WARN", "half full", "b", {"rows": 2})
    assert harness.mirrored == [("WARN", "half full", "b")]


async def test_the_idempotency_key_stays_the_same_over_attempts() -> None:
    keys: list[str] = []

    def script(_spec: AgentSpec, _inputs: dict[str, Any], context: AgentContext) -> None:
        keys.append(context.idempotency_key)

    harness = Harness(a_step("b"), ScriptedExecutor(script))
    await harness.attempt(1)
    await harness.attempt(2)
    assert len(set(keys)) == 1


async def test_a_kind_without_executor_says_so() -> None:
    error = await Harness(a_step("b"), agent=an_agent(type="LLM")).failure()
    assert error["code"] == "UNSUPPORTED_AGENT_TYPE"


CANARY = "canary-5f1e/+ü"


class SomeSecrets:
    """Gives out what it holds, and remembers who asked for what."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.asked: list[tuple[set[str], str | None]] = []

    async def resolve(self, names: Collection[str], project_id: str | None) -> dict[str, str]:
        self.asked.append((set(names), project_id))
        return {name: self.values[name] for name in names if name in self.values}


@pytest.mark.case(31)
class TestSecrets:
    """Given to the agent that names them, never recorded (case 31)."""

    async def test_the_config_gets_only_the_secrets_that_it_names(self) -> None:
        seen: list[dict[str, Any]] = []
        secrets = SomeSecrets(TOKEN=CANARY, OTHER="another-secret")
        agent = an_agent(config={"headers": {"Authorization": "Bearer {{ secrets.TOKEN }}"}}, projectId="p1")
        executor = ScriptedExecutor(lambda spec, inputs, context: seen.append(spec.config))
        await Harness(a_step("b"), executor, secrets=secrets, agent=agent).attempt(1)
        assert seen == [{"headers": {"Authorization": f"Bearer {CANARY}"}}]
        assert secrets.asked == [({"TOKEN"}, "p1")]

    async def test_nobody_asks_for_secrets_that_nobody_names(self) -> None:
        secrets = SomeSecrets(TOKEN=CANARY)
        await Harness(a_step("b", inputs={"n": "secrets.TOKEN"}), secrets=secrets).attempt(1)
        assert secrets.asked == []

    async def test_inputs_reach_the_agent_and_are_masked_in_the_record(self) -> None:
        secrets = SomeSecrets(TOKEN=CANARY)
        harness = Harness(a_step("b", inputs={"token": "{{ secrets.TOKEN }}"}), secrets=secrets)
        output = await harness.attempt(1)
        assert harness.executor.calls == [("a", {"token": CANARY})]
        assert harness.journal.inputs["b", 1] == {"token": "***"}
        assert harness.journal.outcomes["b", 1].output == {"token": "***"}
        assert output == {"token": "***"}, "a later step does not see it either"

    async def test_logs_their_mirror_and_errors_are_masked(self) -> None:
        def script(spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> None:
            context.log("INFO", f"got {inputs['token']}", encoded=base64.b64encode(CANARY.encode()).decode())
            raise AgentError(f"bad {quote(CANARY)}", code="BAD", hint=CANARY, details={"given": [CANARY]})

        secrets = SomeSecrets(TOKEN=CANARY)
        step = a_step("b", inputs={"token": "{{ secrets.TOKEN }}"})
        harness = Harness(step, ScriptedExecutor(script), secrets=secrets)
        error = await harness.failure()
        assert error == {"code": "BAD", "message": "bad ***", "hint": "***", "details": {"given": ["***"]}}
        assert harness.journal.outcomes["b", 1].error == error
        (line,) = harness.journal.lines
        assert (line.message, line.metadata) == ("got ***", {"encoded": "***"})
        assert [each[1] for each in harness.mirrored] == ["got ***"]

    async def test_large_outputs_are_masked_where_they_are_stored(self) -> None:
        secrets = SomeSecrets(TOKEN=CANARY)
        step = a_step("b", inputs={"t": "{{ secrets.TOKEN }}", "rest": "x" * INLINE_BYTES})
        harness = Harness(step, secrets=secrets)
        await harness.attempt(1)
        (stored,) = harness.results.stored.values()
        assert b"canary" not in stored
        assert b'"***"' in stored
        assert "canary" not in str(harness.journal.outcomes["b", 1])
        assert "canary" not in str(harness.journal.inputs["b", 1])

    async def test_a_secret_that_is_gone_fails_the_step(self) -> None:
        agent = an_agent(config={"token": "{{ secrets.TOKEN }}"})
        error = await Harness(a_step("b"), secrets=SomeSecrets(), agent=agent).failure()
        assert error["code"] == "UNRESOLVED_REFERENCE"
        assert "secrets.TOKEN" in error["message"]
