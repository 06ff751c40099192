"""Writes workflows. Prefect hears of it after the commit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flows.spec import Schedule, WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Workflow, WorkflowVersion
from platform_api.db.repository import check_version
from platform_api.errors import Forbidden, ValidationFailed
from platform_api.kit.ids import new_id
from platform_api.kit.locking import expected_version
from platform_api.resources.agents.content import copy_name
from platform_api.resources.agents.lifecycle import check_move
from platform_api.resources.agents.visibility import check_changeable, check_readable
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.workflows.content import apply_definition, apply_head, frozen, schedule_view, step_rows
from platform_api.resources.workflows.definition import Checked, DefinitionCheck, Draft, read_head
from platform_api.resources.workflows.parts import PARTS
from platform_api.resources.workflows.reader import WorkflowReader
from platform_api.resources.workflows.registration import Registration
from platform_api.resources.workflows.repository import StepRepository, WorkflowRepository, WorkflowVersionRepository
from platform_api.resources.workflows.schemas import WorkflowCopy, WorkflowDetail, WorkflowHead, WorkflowWhole
from platform_api.resources.workflows.slugs import free_slug, slug_of

Document = Mapping[str, Any]


class WorkflowService:
    """Changes of workflows inside one scope."""

    def __init__(self, scope: TenantScope, registration: Registration) -> None:
        self._scope = scope
        self._registration = registration
        self._reader = WorkflowReader(scope)
        self._workflows = WorkflowRepository(scope)
        self._steps = StepRepository(scope)
        self._versions = WorkflowVersionRepository(scope)
        self._check = DefinitionCheck(scope)
        self._audit = AuditLog(scope)

    async def create(self, document: Document) -> WorkflowDetail:
        """Stores a workflow with its steps; raises `ValidationFailed` with every problem of the document."""
        draft = await self._check.placed(read_head(WorkflowWhole, document))
        active = draft.becomes(ResourceStatus.ACTIVE)
        checked = await self._check.check(document, active=active, project_id=draft.project(None))
        head, definition = _sound(draft, checked)
        check_move("workflow", ResourceStatus.DRAFT, head.status)
        return await self._store(await self._new(head), head, definition, checked, action="workflow.create")

    async def duplicate(self, workflow_id: UUID, body: WorkflowCopy) -> WorkflowDetail:
        """Stores a private DRAFT that does the same; its version counts on from the lineage's highest.

        Its schedule is switched off. Raises `ValidationFailed` where the caller may not use one of its agents.
        """
        source = await self._reader.get(workflow_id)
        definition = await self._reader.definition(source)
        schedule = schedule_view(source)
        head = WorkflowWhole(
            name=body.name or copy_name(source.name),
            description=source.description,
            tags=source.tags,
            project_id=source.project_id,
            schedule=Schedule(**{**dict(schedule), "enabled": False}) if schedule else None,
        )
        document = definition.model_dump(mode="json", by_alias=True)
        checked = await self._check.check(document, active=False, project_id=source.project_id)
        _, definition = _sound(Draft(head=head), checked)
        workflow = await self._new(head)
        workflow.parent_id = source.id
        workflow.version = await self._workflows.next_version(source.id)
        return await self._store(workflow, head, definition, checked, action="workflow.duplicate")

    async def restore(self, workflow_id: UUID, number: int, if_match: str | None) -> WorkflowDetail:
        """Makes a new version that does what version `number` did; name, tags, visibility, schedule, status stay."""
        await self._for_change(workflow_id)
        version = await self._versions.numbered(workflow_id, number)
        parts = {key: value for key, value in version.definition.items() if key in PARTS}
        return await self.update(workflow_id, parts, if_match, action="workflow.restore")

    async def update(
        self, workflow_id: UUID, document: Document, if_match: str | None, *, action: str = "workflow.update"
    ) -> WorkflowDetail:
        """Changes what the document names; `steps`, where they are sent, are the whole list."""
        workflow = await self._for_change(workflow_id)
        stored = await self._reader.definition(workflow)
        draft = await self._check.placed(read_head(WorkflowHead, document), current=workflow.project_id)
        check_version(workflow.version, expected_version(if_match, draft.version))
        starts = draft.becomes(ResourceStatus.ACTIVE) and workflow.status is not ResourceStatus.ACTIVE
        if not starts and not {*PARTS, "projectId"} & set(document):
            return await self._change(workflow, stored, draft, Checked(definition=stored), action)
        whole = stored.model_dump(mode="json", by_alias=True) | dict(document)
        return await self._change(workflow, stored, draft, await self._checked(workflow, draft, whole), action)

    async def replace(self, workflow_id: UUID, document: Document, if_match: str | None) -> WorkflowDetail:
        """Changes everything to what the document says; what is left out falls back to its default."""
        workflow = await self._for_change(workflow_id)
        stored = await self._reader.definition(workflow)
        draft = await self._check.placed(read_head(WorkflowWhole, document), current=workflow.project_id)
        check_version(workflow.version, expected_version(if_match, draft.version))
        checked = await self._checked(workflow, draft, document)
        return await self._change(workflow, stored, draft, checked, "workflow.update")

    async def delete(self, workflow_id: UUID, if_match: str | None) -> None:
        """Takes the workflow out of sight; its Prefect deployments and schedule go after the commit."""
        workflow = await self._for_change(workflow_id)
        check_version(workflow.version, expected_version(if_match, None))
        before = frozen(workflow, await self._reader.definition(workflow))
        await self._workflows.soft_delete(workflow)
        await self._audit.record("workflow.delete", "workflow", workflow.id, before=before, after=None)
        self._tell_prefect(workflow)

    async def _checked(self, workflow: Workflow, draft: Draft, document: Document) -> Checked:
        active = (draft.status or workflow.status) is ResourceStatus.ACTIVE
        project_id = draft.project(workflow.project_id)
        return await self._check.check(document, active=active, project_id=project_id, workflow=workflow)

    async def _new(self, head: WorkflowHead) -> Workflow:
        caller = self._scope.caller
        if caller.user_id is None:
            raise Forbidden("A project's key makes no workflows; use a person's token or key")
        wanted = slug_of(head.name)
        return Workflow(
            id=new_id(),
            tenant_id=self._scope.tenant_id,
            user_id=caller.user_id,
            project_id=caller.project_id,
            name=head.name,
            slug=free_slug(wanted, await self._workflows.taken_slugs(wanted)),
            status=ResourceStatus.DRAFT,
            version=1,
        )

    async def _store(
        self, workflow: Workflow, head: WorkflowHead, definition: WorkflowDefinition, checked: Checked, *, action: str
    ) -> WorkflowDetail:
        apply_head(workflow, head, set(WorkflowHead.model_fields))
        apply_definition(workflow, definition)
        await self._workflows.add(workflow)
        await self._record(workflow, definition, action, before=None)
        await self._steps.replace(workflow.id, step_rows(workflow, definition, checked.agents))
        if workflow.status is ResourceStatus.ACTIVE:
            self._tell_prefect(workflow)
        return await self._reader.detail(workflow)

    async def _for_change(self, workflow_id: UUID) -> Workflow:
        workflow = await self._workflows.get(workflow_id, lock=True)
        check_readable(self._scope.caller, workflow, "workflow")
        check_changeable(self._scope.caller, workflow, "workflow")
        return workflow

    async def _change(
        self, workflow: Workflow, stored: WorkflowDefinition, draft: Draft, checked: Checked, action: str
    ) -> WorkflowDetail:
        head, definition = _sound(draft, checked)
        before, was_active = frozen(workflow, stored), workflow.status is ResourceStatus.ACTIVE
        check_move("workflow", workflow.status, head.status)
        apply_head(workflow, head, draft.fields)
        apply_definition(workflow, definition)
        if frozen(workflow, definition) == before:
            return await self._reader.detail(workflow)
        workflow.version += 1
        await self._workflows.save(workflow)
        await self._record(workflow, definition, action, before=before)
        if definition != stored:
            await self._steps.replace(workflow.id, step_rows(workflow, definition, checked.agents))
        if was_active or workflow.status is ResourceStatus.ACTIVE:
            self._tell_prefect(workflow)
        return await self._reader.detail(workflow)

    async def _record(
        self, workflow: Workflow, definition: WorkflowDefinition, action: str, *, before: dict[str, Any] | None
    ) -> None:
        """Freezes the version and writes the audit log."""
        after = frozen(workflow, definition)
        row = WorkflowVersion(
            id=new_id(),
            tenant_id=workflow.tenant_id,
            workflow_id=workflow.id,
            version=workflow.version,
            definition=after,
            created_by=self._scope.caller.user_id,
        )
        await self._versions.add(row)
        await self._audit.record(action, "workflow", workflow.id, before=before, after=after)

    def _tell_prefect(self, workflow: Workflow) -> None:
        workflow_id = workflow.id

        async def refresh() -> None:
            await self._registration.refresh(workflow_id)

        self._scope.after_commit(refresh)


def _sound(draft: Draft, checked: Checked) -> tuple[WorkflowHead, WorkflowDefinition]:
    """Head and definition when nothing is wrong with either; raises `ValidationFailed` with all that is."""
    problems = [*draft.problems, *checked.problems]
    if problems or draft.head is None or checked.definition is None:
        raise ValidationFailed(f"The workflow has {len(problems)} problem(s); see details", details=problems)
    return draft.head, checked.definition
