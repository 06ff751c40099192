"""Invitations, by HTTP with the mail that was sent (case 8)."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col, select

from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.access.tokens import fingerprint
from platform_api.db.engine import Sessions
from platform_api.db.models import Invitation, Tenant
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.members import invitations
from platform_api.settings import Settings
from tests.factories.api import Api, colleague, owner
from tests.fixtures.http import PASSWORD, bearer, error_of, register
from tests.fixtures.mail import confirm, mail_to, text_of, token_to

pytestmark = pytest.mark.case(8)

MEMBERS = "/tenants/current/members"
INVITATIONS = "/tenants/current/invitations"
ACCEPT = "/api/v1/auth/accept-invitation"
JOINER = {"password": PASSWORD, "fullName": "Grace Example"}


def somebody() -> str:
    return f"{uuid4().hex}@example.com"


async def invited(app: FastAPI, boss: Api, email: str, role: str = "EDITOR") -> str:
    """The token that the address was sent."""
    made = await boss.made(MEMBERS, {"email": email, "role": role})
    assert made["status"] == "INVITED"
    return await token_to(app, email, "accept-invitation")


async def accept(client: httpx.AsyncClient, token: Any, **fields: Any) -> httpx.Response:
    return await client.post(ACCEPT, json={"token": token, **(fields or JOINER)})


def refused(answer: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    return [each["path"] for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]]


class TestSend:
    async def test_an_unknown_address_gets_a_mail(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, email = await owner(client), somebody()
        made = await boss.made(MEMBERS, {"email": email.upper(), "role": "VIEWER"})
        assert (made["status"], made["email"], made["role"], made["userId"]) == ("INVITED", email, "VIEWER", None)
        assert made["invitationId"] is not None
        text = text_of((await mail_to(app, email))[0])
        assert "/accept-invitation?token=" in text
        open_now = (await boss.get(INVITATIONS)).json()["data"]
        assert [(row["id"], row["email"]) for row in open_now] == [(made["invitationId"], email)]
        assert "token" not in str(open_now).lower()

    async def test_the_token_is_stored_as_a_hash_and_reaches_no_log(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        boss, email = await owner(client), somebody()
        with structlog.testing.capture_logs() as lines:
            token = await invited(app, boss, email)
        assert token not in str(lines)
        async with sessions() as session:
            statement = select(Invitation).where(col(Invitation.token_hash) == fingerprint(token))
            assert token not in repr((await session.execute(statement)).scalar_one())
        assert token not in (await boss.get("/audit-logs")).text

    @pytest.mark.case(22)
    async def test_a_tenants_name_stays_one_line_in_the_mail(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        """Case 22."""
        boss, email = await owner(client), somebody()
        await boss.patch("/tenants/current", {"name": "Acme\r\nBcc: eve@example.com\r\n\r\nPay here " + "x" * 60})
        await invited(app, boss, email)
        message = (await mail_to(app, email))[0]
        assert message["Bcc"] is None
        assert len([line for line in text_of(message).splitlines() if "Acme" in line]) == 1
        assert "Pay here" in next(line for line in text_of(message).splitlines() if "Acme" in line)

    async def test_a_second_one_takes_the_place_of_the_first(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, email = await owner(client), somebody()
        first = await invited(app, boss, email, "VIEWER")
        second = await invited(app, boss, email, "ADMIN")
        assert len((await boss.get(INVITATIONS)).json()["data"]) == 1
        assert refused(await accept(client, first)) == ["token"]
        assert (await accept(client, second)).status_code == 200

    async def test_nobodys_mailbox_is_flooded(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        """Also not by taking each back and sending the next."""
        boss, email = await owner(client), somebody()
        body = {"email": email, "role": "VIEWER"}
        for _ in range(invitations.MAILS_PER_HOUR):
            made = await boss.made(MEMBERS, body)
            await boss.send("DELETE", f"{INVITATIONS}/{made['invitationId']}")
        answer = await boss.post(MEMBERS, body)
        error_of(answer, 429, "RATE_LIMITED")
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        assert len(await mail_to(app, email)) == invitations.MAILS_PER_HOUR
        assert (await boss.post(MEMBERS, {**body, "email": somebody()})).status_code == 201

    async def test_there_is_an_end_to_them(self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invitations, "MAX_OPEN", 1)
        boss, email = await owner(client), somebody()
        for _ in range(2):
            await boss.made(MEMBERS, {"email": email, "role": "VIEWER"})
        assert error_of(await boss.post(MEMBERS, {"email": somebody(), "role": "VIEWER"}), 409, "CONFLICT")


class TestRevoke:
    async def test_one_that_was_taken_back_works_no_more(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, email = await owner(client), somebody()
        token = await invited(app, boss, email)
        path = f"{INVITATIONS}/{(await boss.get(INVITATIONS)).json()['data'][0]['id']}"
        assert (await boss.send("DELETE", path)).status_code == 204
        assert refused(await accept(client, token)) == ["token"]
        assert (await boss.get(INVITATIONS)).json()["data"] == []
        error_of(await boss.send("DELETE", path), 404, "NOT_FOUND")

    @pytest.mark.case(11)
    async def test_another_tenants_are_not_there(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        """Case 11."""
        boss, stranger = await owner(client), await owner(client)
        token = await invited(app, boss, somebody())
        path = f"{INVITATIONS}/{(await boss.get(INVITATIONS)).json()['data'][0]['id']}"
        assert (await stranger.get(INVITATIONS)).json()["data"] == []
        error_of(await stranger.send("DELETE", path), 404, "NOT_FOUND")
        error_of(await boss.send("DELETE", f"{INVITATIONS}/{new_id()}"), 404, "NOT_FOUND")
        assert (await accept(client, token)).status_code == 200

    async def test_an_admin_leaves_those_of_owners_alone(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = await owner(client)
        admin = await colleague(boss, sessions, settings, TenantRole.ADMIN)
        await invited(app, boss, somebody(), "OWNER")
        path = f"{INVITATIONS}/{(await admin.get(INVITATIONS)).json()['data'][0]['id']}"
        assert error_of(await admin.send("DELETE", path), 403, "FORBIDDEN")


class TestAccept:
    async def test_somebody_new_gets_an_account_and_is_logged_in(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, email = await owner(client), somebody()
        answer = await accept(client, await invited(app, boss, email, "EDITOR"))
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert (data["user"]["email"], data["user"]["fullName"]) == (email, "Grace Example")
        assert data["user"]["emailVerifiedAt"] is not None
        assert data["tenant"]["id"] == str(boss.tenant_id)
        headers = bearer(data["tokens"]["accessToken"])
        assert (await client.get("/api/v1/tenants/current", headers=headers)).status_code == 200
        rows = (await boss.get(MEMBERS, role="EDITOR")).json()["data"]
        assert [row["email"] for row in rows] == [email]
        login = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert login.json()["data"]["tenant"]["id"] == str(boss.tenant_id)
        assert (await boss.get(INVITATIONS)).json()["data"] == []
        assert (await boss.get("/audit-logs", action="member.join")).json()["meta"]["pagination"]["totalItems"] == 1

    async def test_who_registered_in_between_joins_with_their_account(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        boss, email = await owner(client), somebody()
        token = await invited(app, boss, email)
        member = await register(client, email=email)
        await confirm(app, client, email)
        answer = await accept(client, token, password="Ignored-Pass-9")
        assert answer.json()["data"]["user"]["id"] == member.user["id"]
        old = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert old.status_code == 200

    async def test_who_registered_with_somebody_elses_address_is_shut_out(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        """The mail proves whose address it is: neither password, session nor key of the account before counts on."""
        boss, email = await owner(client), somebody()
        token = await invited(app, boss, email)
        squatter = await register(client, email=email, fullName="Eve Example")
        body = {"name": "k", "scopes": ["profile:read"]}
        made = await client.post("/api/v1/api-keys", json=body, headers=squatter.headers)
        key = {"X-API-Key": made.json()["data"]["key"]}
        assert (await client.get("/api/v1/users/me", headers=key)).status_code == 200
        details = error_of(await accept(client, token, fullName="Grace"), 400, "VALIDATION_ERROR")["details"]
        assert [each["path"] for each in details] == ["password"]
        answer = await accept(client, token, password="Graces-Pass-9", fullName="Grace Example")
        assert answer.status_code == 200
        assert answer.json()["data"]["user"]["fullName"] == "Grace Example"
        login = "/api/v1/auth/login"
        error_of(await client.post(login, json={"email": email, "password": PASSWORD}), 401, "INVALID_CREDENTIALS")
        assert (await client.post(login, json={"email": email, "password": "Graces-Pass-9"})).status_code == 200
        for headers in (squatter.headers, key):
            error_of(await client.get("/api/v1/users/me", headers=headers), 401, "UNAUTHENTICATED")

    async def test_a_token_works_once_also_in_parallel(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        """Case 8: reused."""
        boss = await owner(client)
        token = await invited(app, boss, somebody())
        answers = await asyncio.gather(*(accept(client, token) for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [200, 400, 400, 400, 400]
        assert refused(await accept(client, token)) == ["token"]
        assert len((await boss.get(MEMBERS)).json()["data"]) == 2

    async def test_a_token_is_over_after_a_week(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss = await owner(client)
        token = await invited(app, boss, somebody())
        with clock.freeze(clock.now() + timedelta(days=7, seconds=1)):
            assert refused(await accept(client, token)) == ["token"]

    @pytest.mark.parametrize("token", [None, "", "x", "null", 0, [], "A" * 43, "x" * 201])
    async def test_what_is_no_token_is_refused(self, client: httpx.AsyncClient, token: Any) -> None:
        """Case 8: null, empty, of a wrong kind."""
        assert refused(await accept(client, token)) == ["token"]

    async def test_a_token_of_another_purpose_is_refused(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, email = await owner(client), somebody()
        token = await invited(app, boss, email)
        for path, more in (("reset-password", {"newPassword": PASSWORD}), ("verify-email", {})):
            assert refused(await client.post(f"/api/v1/auth/{path}", json={"token": token, **more})) == ["token"]
        member = await register(client)
        assert refused(await accept(client, await token_to(app, member.email, "verify-email"))) == ["token"]

    @pytest.mark.case(12)
    @pytest.mark.parametrize(
        ("fields", "paths"),
        [
            ({"password": None}, {"password", "fullName"}),
            ({"password": PASSWORD}, {"fullName"}),
            ({"fullName": "Grace"}, {"password"}),
            ({"fullName": "Grace", "password": "weak"}, {"password"}),
            ({"fullName": " ", "password": PASSWORD}, {"fullName"}),
            ({**JOINER, "role": "OWNER"}, {"role"}),
            ({**JOINER, "tenantId": "x"}, {"tenantId"}),
            ({**JOINER, "email": "eve@example.com"}, {"email"}),
        ],
    )
    async def test_what_is_missing_or_weak_is_said_and_costs_no_token(
        self, app: FastAPI, client: httpx.AsyncClient, fields: dict[str, Any], paths: set[str]
    ) -> None:
        """Case 12 too: the invitation alone says which role, where and who."""
        token = await invited(app, await owner(client), somebody())
        details = error_of(await accept(client, token, **fields), 400, "VALIDATION_ERROR")["details"]
        assert {each["path"] for each in details} == paths
        assert (await accept(client, token)).status_code == 200

    async def test_a_tenant_that_is_gone_takes_nobody(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        boss, email = await owner(client), somebody()
        token = await invited(app, boss, email)
        async with system_scope(sessions) as scope:
            gone = update(Tenant).where(col(Tenant.id) == boss.tenant_id).values(deleted_at=clock.now())
            await scope.session.execute(gone)
        assert refused(await accept(client, token)) == ["token"]
        login = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert error_of(login, 401, "INVALID_CREDENTIALS")
