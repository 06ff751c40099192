"""Who may answer a WAIT step, as its definition names them."""

import asyncio
from collections.abc import Collection
from uuid import UUID

from agents.errors import Problem
from flows.compiler.nesting import all_steps, body_of
from flows.spec import WaitConfig, WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import TenantRole
from platform_api.resources.workflows.repository import WorkflowRepository


class Assignees:
    """Checks them against one tenant."""

    def __init__(self, scope: TenantScope) -> None:
        self._workflows = WorkflowRepository(scope)

    async def problems(self, definition: WorkflowDefinition) -> list[Problem]:
        """A problem for each that is neither a role nor a member's id; templates are looked at when a step runs."""
        named = await asyncio.to_thread(_named, definition)
        if not named:
            return []
        members = await self._workflows.members()
        return [
            Problem(path=path, code="UNKNOWN_ASSIGNEE", message=_MESSAGE)
            for path, written in named
            if not _is_known(written, members)
        ]


_MESSAGE = f"write the id of a member of the tenant, or a role: {', '.join(TenantRole)}"


def _named(definition: WorkflowDefinition) -> list[tuple[str, str]]:
    return [
        (f"{step.path}.config.assignees[{index}]", written)
        for step in all_steps(body_of(definition))
        if isinstance(step.config, WaitConfig)
        for index, written in enumerate(step.config.assignees)
        if "{{" not in written and written not in TenantRole.__members__
    ]


def _is_known(written: str, members: Collection[UUID]) -> bool:
    try:
        return UUID(written) in members
    except ValueError:
        return False
