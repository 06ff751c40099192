"""What Prefect shows of one run beside its tasks; each of its artifacts has a name of its own for workflow and step."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext

from agents.spec import AgentType
from flows.plan import PlanStep
from flows.runtime.artifacts import CANCELLED_PATIENCE_SECONDS, Artifacts, Progress, artifact_key
from flows.runtime.ports import Run, RunOutcome
from flows.runtime.preview_table import preview_table
from flows.runtime.run_page import run_page
from flows.spec import StepType
from flows.states import ExecutionStatus

_logger = logging.getLogger(__name__)


class ShownRun:
    """Made in the flow run that it shows."""

    def __init__(self, artifacts: Artifacts, run: Run, id_of: Callable[[str], UUID]) -> None:
        context = FlowRunContext.get()
        self._flow_run_id = context.flow_run.id if context and context.flow_run else None
        self._artifacts = artifacts
        self._run = run
        self._id_of = id_of
        self._ends: dict[str, str] = {}

    def ended(self, step: PlanStep, ending: str) -> None:
        """For the page at the end."""
        self._ends[step.step_key] = ending

    def data(self, step: PlanStep, output: Any) -> None:
        """A table of what a DATA step gave, and its chart; nothing for other steps."""
        if step.type is not StepType.AGENT or self._run.plan.agents[step.agent or ""].type is not AgentType.DATA:
            return
        try:
            self._add_table(step.step_key, output)
            self._add_chart(step.step_key, output)
        except Exception:
            _logger.warning("A step's data is not shown in Prefect", exc_info=True)

    def progress(self, path: str) -> Progress:
        """How far a loop is."""
        return self._artifacts.progress(self._artifact("progress", f"Items of {path}", path))

    def over(self, outcome: RunOutcome) -> None:
        """A page that sums it up."""
        if outcome.status is ExecutionStatus.CANCELLED:
            self._artifacts.patience_seconds = CANCELLED_PATIENCE_SECONDS
        try:
            page = self._artifact("markdown", "How the run ended", data=run_page(self._run, outcome, self._ends))
            if self._run.depth == 0:
                self._artifacts.add_first(page)
            else:
                self._artifacts.add(page)
        except Exception:
            _logger.warning("A run's end is not summed up in Prefect", exc_info=True)

    def _add_table(self, step_key: str, output: Any) -> None:
        table = preview_table(output) if isinstance(output, dict) else None
        if table is not None:
            description, rows = table
            self._artifacts.add(self._artifact("table", description, step_key, data=rows))

    def _add_chart(self, step_key: str, output: Any) -> None:
        picture = output.get("chart", {}).get("png") if isinstance(output, dict) else None
        if picture is not None:
            artifact = self._artifact("image", f"Chart of {step_key}", step_key)
            self._artifacts.add_picture(artifact.model_copy(update={"key": f"{artifact.key}--chart"}), picture["uri"])

    def _artifact(self, kind: str, description: str, path: str | None = None, data: Any = None) -> ArtifactCreate:
        flow_name = self._run.plan.workflow.flow_name
        return ArtifactCreate(
            key=artifact_key(flow_name) if path is None else artifact_key(flow_name, path),
            type=kind,
            description=description,
            data=data,
            flow_run_id=self._flow_run_id,
            task_run_id=None if path is None else self._id_of(path),
        )
