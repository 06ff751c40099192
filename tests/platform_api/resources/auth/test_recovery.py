"""Forgotten passwords and confirmation of addresses, by HTTP with the mail that was sent (case 8)."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col, select

from platform_api.access.scope import system_scope
from platform_api.access.tokens import fingerprint
from platform_api.db.engine import Sessions
from platform_api.db.models import AuditLog, OneTimeToken, User
from platform_api.kit import clock
from tests.fixtures.http import ORIGIN, PASSWORD, Member, bearer, error_of, register
from tests.fixtures.mail import mail_to, text_of, token_to

pytestmark = pytest.mark.case(8)

AUTH = "/api/v1/auth"
ME = "/api/v1/users/me"
NEW = "Another-One-2"


async def forgot(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await client.post(f"{AUTH}/forgot-password", json={"email": email})


async def reset(client: httpx.AsyncClient, token: Any, password: str = NEW) -> httpx.Response:
    return await client.post(f"{AUTH}/reset-password", json={"token": token, "newPassword": password})


async def login(client: httpx.AsyncClient, member: Member, password: str) -> httpx.Response:
    return await client.post(f"{AUTH}/login", json={"email": member.email, "password": password})


async def reset_token(app: FastAPI, client: httpx.AsyncClient) -> tuple[Member, str]:
    member = await register(client)
    await forgot(client, member.email)
    return member, await token_to(app, member.email, "reset-password")


def refused(answer: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    return [each["path"] for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]]


async def actions_of(sessions: Sessions, member: Member) -> list[str]:
    statement = select(AuditLog).where(col(AuditLog.user_id) == UUID(member.user["id"])).order_by(col(AuditLog.id))
    async with sessions() as session:
        return [entry.action for entry in (await session.execute(statement)).scalars()]


class TestForgotPassword:
    async def test_the_answer_is_the_same_whether_the_address_exists_or_not(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        member = await register(client)
        nobody = f"{uuid4().hex}@example.com"
        known, unknown = await forgot(client, member.email), await forgot(client, nobody)
        assert known.status_code == unknown.status_code == 202
        assert known.json()["data"] is None
        assert known.json()["data"] == unknown.json()["data"]
        assert await mail_to(app, nobody) == []

    @pytest.mark.case(6)
    async def test_the_answer_does_not_wait_for_the_account(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        """Case 6: what is done for an address that exists cannot be timed, because it is done afterwards."""
        member = await register(client)
        async with system_scope(sessions) as scope:
            await scope.session.execute(select(User).where(col(User.id) == UUID(member.user["id"])).with_for_update())
            answer = await asyncio.wait_for(forgot(client, member.email), timeout=5)
            assert answer.status_code == 202
        await token_to(app, member.email, "reset-password")

    async def test_the_mail_leads_to_the_front_end(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, token = await reset_token(app, client)
        message = (await mail_to(app, member.email))[-1]
        assert f"{ORIGIN}/reset-password?token={token}" in text_of(message)
        assert "one hour" in text_of(message)
        assert message["From"].addresses[0].addr_spec == "no-reply@turbocat.localhost"

    async def test_the_token_is_stored_as_a_hash_only(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        _, token = await reset_token(app, client)
        async with sessions() as session:
            statement = select(OneTimeToken).where(col(OneTimeToken.token_hash) == fingerprint(token))
            row = (await session.execute(statement)).scalar_one()
        assert token not in repr(row)

    async def test_neither_token_nor_address_reaches_the_log(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        with structlog.testing.capture_logs() as lines:
            member, token = await reset_token(app, client)
        assert "mail_stored" in {line["event"] for line in lines}
        assert token not in str(lines)
        assert member.email not in str(lines)

    async def test_a_mailbox_is_not_flooded(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member = await register(client)
        before = len(await mail_to(app, member.email))
        for answer in await asyncio.gather(*(forgot(client, member.email) for _ in range(5))):
            assert answer.status_code == 202
        assert len(await mail_to(app, member.email)) == before + 1
        with clock.freeze(clock.now() + timedelta(seconds=61)):
            await forgot(client, member.email)
        assert len(await mail_to(app, member.email)) == before + 2

    async def test_a_newer_token_takes_the_place_of_the_older(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, older = await reset_token(app, client)
        with clock.freeze(clock.now() + timedelta(minutes=2)):
            await forgot(client, member.email)
            assert refused(await reset(client, older)) == ["token"]
            assert (await reset(client, await token_to(app, member.email, "reset-password"))).status_code == 204

    async def test_somebody_deactivated_gets_no_mail(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        member = await register(client)
        before = len(await mail_to(app, member.email))
        await deactivate(sessions, member)
        assert (await forgot(client, member.email)).status_code == 202
        assert len(await mail_to(app, member.email)) == before

    @pytest.mark.parametrize(
        "body", [{}, {"email": ""}, {"email": None}, {"email": "nobody"}, {"email": ["a@example.com"]}]
    )
    async def test_what_is_no_address_is_refused(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        for path in ("forgot-password", "resend-verification"):
            assert error_of(await client.post(f"{AUTH}/{path}", json=body), 400, "VALIDATION_ERROR")


async def deactivate(sessions: Sessions, member: Member) -> None:
    async with system_scope(sessions) as scope:
        asleep = update(User).where(col(User.id) == UUID(member.user["id"])).values(is_active=False)
        await scope.session.execute(asleep)


class TestResetPassword:
    async def test_the_new_password_works_and_the_old_one_does_not(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        member, token = await reset_token(app, client)
        answer = await reset(client, token)
        assert answer.status_code == 204
        assert answer.content == b""
        error_of(await login(client, member, PASSWORD), 401, "INVALID_CREDENTIALS")
        assert (await login(client, member, NEW)).status_code == 200
        assert {"auth.password_forgotten", "auth.password_reset"} <= set(await actions_of(sessions, member))

    async def test_every_session_ends_at_once(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, token = await reset_token(app, client)
        other = (await login(client, member, PASSWORD)).json()["data"]["tokens"]
        await reset(client, token)
        for access in (member.tokens["accessToken"], other["accessToken"]):
            assert error_of(await client.get(ME, headers=bearer(access)), 401, "UNAUTHENTICATED")
        follow = await client.post(f"{AUTH}/refresh", json={"refreshToken": other["refreshToken"]})
        assert error_of(follow, 401, "UNAUTHENTICATED")

    async def test_a_locked_account_is_opened(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, token = await reset_token(app, client)
        for _ in range(5):
            await login(client, member, "Wrong-Pass-1")
        error_of(await login(client, member, PASSWORD), 423, "ACCOUNT_LOCKED")
        await reset(client, token)
        assert (await login(client, member, NEW)).status_code == 200

    async def test_a_token_works_once(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        """Case 8: reused."""
        _, token = await reset_token(app, client)
        assert (await reset(client, token)).status_code == 204
        assert refused(await reset(client, token, "Third-One-3")) == ["token"]

    async def test_of_parallel_uses_one_succeeds(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        _, token = await reset_token(app, client)
        answers = await asyncio.gather(*(reset(client, token, f"Another-One-{n}") for n in range(5)))
        assert sorted(answer.status_code for answer in answers) == [204, 400, 400, 400, 400]

    async def test_a_token_is_over_after_an_hour(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        _, token = await reset_token(app, client)
        with clock.freeze(clock.now() + timedelta(minutes=61)):
            assert refused(await reset(client, token)) == ["token"]

    @pytest.mark.parametrize("token", [None, "", " ", "x", "null", 0, [], {}, "A" * 43, "é" * 43, "x" * 201])
    async def test_what_is_no_token_is_refused(self, client: httpx.AsyncClient, token: Any) -> None:
        """Case 8: null, empty, of a wrong kind."""
        assert refused(await reset(client, token)) == ["token"]
        assert refused(await client.post(f"{AUTH}/verify-email", json={"token": token})) == ["token"]

    async def test_a_missing_token_is_refused(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(f"{AUTH}/reset-password", json={"newPassword": NEW})
        assert refused(answer) == ["token"]

    async def test_a_token_changes_its_own_users_password_alone(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        """Case 8: of another user; there is no way to say whose password is meant."""
        victim = await register(client)
        _, token = await reset_token(app, client)
        for extra in ({"email": victim.email}, {"userId": victim.user["id"]}):
            body = {"token": token, "newPassword": NEW, **extra}
            error_of(await client.post(f"{AUTH}/reset-password", json=body), 400, "VALIDATION_ERROR")
        assert (await reset(client, token)).status_code == 204
        assert (await login(client, victim, PASSWORD)).status_code == 200

    async def test_a_token_of_another_purpose_is_refused(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, for_reset = await reset_token(app, client)
        assert refused(await reset(client, await token_to(app, member.email, "verify-email"))) == ["token"]
        assert refused(await client.post(f"{AUTH}/verify-email", json={"token": for_reset})) == ["token"]

    async def test_a_weak_password_is_refused_and_costs_no_token(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        _, token = await reset_token(app, client)
        details = error_of(await reset(client, token, "weak"), 400, "VALIDATION_ERROR")["details"]
        assert {each["path"] for each in details} == {"newPassword"}
        assert (await reset(client, token)).status_code == 204

    async def test_a_change_of_password_makes_it_worthless(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, token = await reset_token(app, client)
        change = {"currentPassword": PASSWORD, "newPassword": NEW}
        assert (await client.post(f"{ME}/password", json=change, headers=member.headers)).status_code == 204
        assert refused(await reset(client, token, "Third-One-3")) == ["token"]

    async def test_somebody_deactivated_cannot_use_it(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        member, token = await reset_token(app, client)
        await deactivate(sessions, member)
        assert refused(await reset(client, token)) == ["token"]

    async def test_the_owner_is_told(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, token = await reset_token(app, client)
        await reset(client, token)
        assert "was changed" in (await mail_to(app, member.email))[-1]["Subject"]


class TestVerifyEmail:
    async def test_registration_sends_a_token_that_confirms_the_address(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        member = await register(client, fullName="Visit http://evil.example")
        assert member.user["emailVerifiedAt"] is None
        message = (await mail_to(app, member.email))[0]
        assert "evil" not in text_of(message)
        token = await token_to(app, member.email, "verify-email")
        answer = await client.post(f"{AUTH}/verify-email", json={"token": token})
        assert answer.status_code == 204
        assert (await client.get(ME, headers=member.headers)).json()["data"]["emailVerifiedAt"] is not None
        assert "auth.email_verified" in await actions_of(sessions, member)
        assert refused(await client.post(f"{AUTH}/verify-email", json={"token": token})) == ["token"]

    async def test_a_reset_proves_the_address_too(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member, token = await reset_token(app, client)
        await reset(client, token)
        assert (await login(client, member, NEW)).json()["data"]["user"]["emailVerifiedAt"] is not None

    async def test_another_mail_can_be_asked_for(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member = await register(client)
        older = await token_to(app, member.email, "verify-email")
        with clock.freeze(clock.now() + timedelta(minutes=2)):
            answer = await client.post(f"{AUTH}/resend-verification", json={"email": member.email.upper()})
            assert answer.status_code == 202
            newer = await token_to(app, member.email, "verify-email")
            assert newer != older
            assert (await client.post(f"{AUTH}/verify-email", json={"token": newer})).status_code == 204
        with clock.freeze(clock.now() + timedelta(minutes=4)):
            before = len(await mail_to(app, member.email))
            again = await client.post(f"{AUTH}/resend-verification", json={"email": member.email})
            assert again.json()["data"] == answer.json()["data"]
            assert len(await mail_to(app, member.email)) == before

    async def test_a_registration_that_fails_sends_nothing(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        member = await register(client)
        before = len(await mail_to(app, member.email))
        body = {"email": member.email, "password": PASSWORD, "fullName": "Eve"}
        error_of(await client.post(f"{AUTH}/register", json=body), 409, "CONFLICT")
        assert len(await mail_to(app, member.email)) == before
