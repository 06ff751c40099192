"""Walks every route: who gets in without a token, and every route × every role against the permission table."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.permissions import Permission
from platform_api.access.principal import PlatformRole, TenantRole
from platform_api.access.roles import GRANTS
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Membership, User
from platform_api.kit import clock
from platform_api.main import openapi_document
from tests.factories.bodies import document
from tests.factories.routes import walk
from tests.fixtures.http import Member, error_of, register

OPEN = {
    ("GET", "/health"),
    ("GET", "/api/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/docs"),
    ("GET", "/api/v1/openapi.json"),
    ("POST", "/api/v1/auth/register"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/forgot-password"),
    ("POST", "/api/v1/auth/reset-password"),
    ("POST", "/api/v1/auth/verify-email"),
    ("POST", "/api/v1/auth/resend-verification"),
    ("GET", "/api/v1/templates"),
    ("GET", "/api/v1/templates/{template_id}"),
    ("POST", "/api/v1/auth/accept-invitation"),
}
"""Everything that needs no token; a route that is not here must name a permission."""


async def become(sessions: Sessions, member: Member, *, role: TenantRole, platform_role: PlatformRole) -> None:
    user_id = UUID(member.user["id"])
    async with system_scope(sessions) as scope:
        await scope.session.execute(update(User).where(col(User.id) == user_id).values(role=platform_role))
        await scope.session.execute(update(Membership).where(col(Membership.user_id) == user_id).values(role=role))


def allowed(permission: Permission, role: TenantRole, platform_role: PlatformRole) -> bool:
    """The rule of the contract, said a second time and differently."""
    in_tenant = role in GRANTS[permission].roles
    return {
        PlatformRole.ADMIN: True,
        PlatformRole.USER: in_tenant,
        PlatformRole.AGENT: in_tenant and GRANTS[permission].machine,
    }[platform_role]


@pytest.mark.case(1)
async def test_without_a_token_only_the_listed_routes_answer(app: FastAPI, client: httpx.AsyncClient) -> None:
    walked = list(walk(app))
    assert {(each.method, each.path) for each in walked} > OPEN
    for each in walked:
        if (each.method, each.path) not in OPEN:
            answer = await client.request(each.method, each.url)
            error_of(answer, 401, "UNAUTHENTICATED")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.case(1)
async def test_every_other_route_names_a_permission(app: FastAPI) -> None:
    walked = list(walk(app))
    assert {(each.method, each.path) for each in walked if each.permission is None} == OPEN


@pytest.mark.parametrize("platform_role", PlatformRole)
@pytest.mark.parametrize("role", TenantRole)
async def test_every_route_for_every_role(
    app: FastAPI, client: httpx.AsyncClient, sessions: Sessions, role: TenantRole, platform_role: PlatformRole
) -> None:
    member = await register(client)
    await become(sessions, member, role=role, platform_role=platform_role)
    walked = sorted(walk(app), key=lambda each: each.path.endswith("/logout"))  # it comes last
    surprises: list[Any] = []
    for each in walked:
        if each.permission is None:
            continue
        answer = await client.request(each.method, each.url, headers=member.headers)
        expected = allowed(each.permission, role, platform_role)
        if (answer.status_code != 403) is not expected or answer.status_code in (401, 500):
            surprises.append((each.method, each.path, each.permission, answer.status_code))
    assert surprises == []


async def test_a_token_of_somebody_who_left_is_worth_nothing(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    async with system_scope(sessions) as scope:
        gone = update(Membership).where(col(Membership.user_id) == UUID(member.user["id"]))
        await scope.session.execute(gone.values(deleted_at=clock.now()))
    assert error_of(await client.get("/api/v1/users/me", headers=member.headers), 401, "UNAUTHENTICATED")


async def test_a_token_of_somebody_deactivated_is_worth_nothing(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    async with system_scope(sessions) as scope:
        asleep = update(User).where(col(User.id) == UUID(member.user["id"])).values(is_active=False)
        await scope.session.execute(asleep)
    assert error_of(await client.get("/api/v1/users/me", headers=member.headers), 401, "UNAUTHENTICATED")
    login = {"email": member.email, "password": member.password}
    assert error_of(await client.post("/api/v1/auth/login", json=login), 401, "INVALID_CREDENTIALS")


class TestDocument:
    def test_needs_no_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DATABASE_URL", raising=False)
        assert openapi_document()["openapi"].startswith("3.1")

    def test_operation_ids_are_unique_and_camel_case(self) -> None:
        ids = [operation["operationId"] for _, _, operation in operations()]
        assert len(ids) == len(set(ids))
        assert [each for each in ids if not re.fullmatch(r"[a-z][A-Za-z0-9]+", each)] == []

    def test_every_operation_says_what_it_does_and_how_it_fails(self) -> None:
        for method, path, operation in operations():
            assert operation["description"], (method, path)
            assert operation["tags"], (method, path)
            if path.startswith("/api/v1"):
                assert {"400", "500"} <= set(operation["responses"]), (method, path)
                assert "422" not in operation["responses"], (method, path)

    def test_routes_behind_a_login_say_so(self) -> None:
        for method, path, operation in operations():
            if path.startswith("/api/v1/templates") and (method.upper(), path) in OPEN:
                assert {} in operation["security"], path  # shows more to those who log in
            elif (method.upper(), path) in OPEN:
                assert "security" not in operation, path
            else:
                assert operation["security"] == [{"bearer": []}, {"apiKey": []}], path
                assert {"401", "403"} <= set(operation["responses"]), path

    def test_every_reference_leads_somewhere(self) -> None:
        schemas = document()["components"]["schemas"]
        assert set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document()))) <= set(schemas)
        assert not {"HTTPValidationError", "ValidationError"} & set(schemas)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            yield method, path, operation
