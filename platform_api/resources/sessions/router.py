"""`/auth/sessions` and `/auth/logout`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status

from platform_api.access.dependencies import requires_for_account
from platform_api.access.permissions import Permission
from platform_api.access.scope import AccountScope
from platform_api.kit.envelope import errors, page_of
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import PageEnvelope
from platform_api.resources.sessions.schemas import SessionView
from platform_api.resources.sessions.service import OwnSessions

router = APIRouter(prefix="/auth", tags=["Identity"])

Ender = Annotated[AccountScope, requires_for_account(Permission.SESSIONS_DELETE)]


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(scope: Ender) -> None:
    """Ends the session at once, its access token too."""
    await OwnSessions(scope).logout()


@router.get("/sessions")
async def list_own_sessions(
    scope: Annotated[AccountScope, requires_for_account(Permission.SESSIONS_READ)], paging: PagingDep
) -> PageEnvelope[SessionView]:
    """The caller's open sessions in all tenants, the one that was used last first."""
    rows, total = await OwnSessions(scope).page(paging)
    return page_of(rows, total, paging)


@router.delete("/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(404))
async def end_session(session_id: UUID, scope: Ender) -> None:
    """Ends one of the caller's sessions at once, its access token too; the current one may be among them."""
    await OwnSessions(scope).end(session_id)
