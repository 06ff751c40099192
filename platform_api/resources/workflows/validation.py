"""The checks of a workflow without storing it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from flows.compiler.compile import compile_plan
from flows.plan import PlanWorkflow
from flows.spec import WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.resources.workflows.definition import Checked, DefinitionCheck, read_head
from platform_api.resources.workflows.schemas import (
    ExecutionPlan,
    ProblemView,
    ValidationView,
    WorkflowHead,
    WorkflowWhole,
)
from platform_api.resources.workflows.slugs import slug_of
from platform_api.resources.workflows.stages import execution_plan


async def validate(scope: TenantScope, document: Mapping[str, Any]) -> ValidationView:
    """Everything wrong with `document`, or the order in which it would run."""
    check = DefinitionCheck(scope)
    draft = await check.placed(read_head(WorkflowWhole, document))
    active = draft.becomes(ResourceStatus.ACTIVE)
    checked = await check.check(document, active=active, project_id=draft.project(None))
    problems = [*draft.problems, *checked.problems]
    if problems or draft.head is None or checked.definition is None:
        listed = [ProblemView.model_validate(problem) for problem in problems]
        return ValidationView(valid=False, problems=listed, execution_plan=None)
    plan = await asyncio.to_thread(_order, scope, draft.head, checked.definition, checked)
    return ValidationView(valid=True, problems=[], execution_plan=plan)


def _order(scope: TenantScope, head: WorkflowHead, definition: WorkflowDefinition, checked: Checked) -> ExecutionPlan:
    unsaved = PlanWorkflow(
        id="",
        name=head.name,
        slug=slug_of(head.name),
        version=1,
        tenant_id=str(scope.tenant_id),
        tenant_slug="",
        project_id=str(head.project_id) if head.project_id is not None else None,
    )
    return execution_plan(compile_plan(definition, unsaved, checked.specs, known_secrets=checked.known_secrets))
