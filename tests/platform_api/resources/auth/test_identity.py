"""Registration, login, refresh, logout and change of password, by HTTP."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import bcrypt
import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from platform_api.access.scope import system_scope
from platform_api.access.tokens import fingerprint
from platform_api.db.engine import Sessions
from platform_api.db.models import UserSession
from platform_api.kit import clock
from platform_api.resources.sessions.login import REUSE_GRACE
from platform_api.resources.users.service import Users
from tests.fixtures.http import PASSWORD, bearer, error_of, register

LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
ME = "/api/v1/users/me"


async def rows_of(sessions: Sessions, family: str) -> list[UserSession]:
    async with sessions() as session:
        found = await session.execute(
            select(UserSession).where(col(UserSession.family_id) == family).order_by(col(UserSession.id))
        )
        return list(found.scalars())


class TestRegister:
    async def test_gives_user_tenant_and_working_tokens(self, client: httpx.AsyncClient) -> None:
        member = await register(client, tenantName="Crème & Söhne", fullName="  Ada Example ")
        assert member.user["email"] == member.email
        assert member.user["fullName"] == "Ada Example"
        assert member.user["role"] == "USER"
        assert member.tenant["slug"].startswith("creme-sohne")
        assert set(member.tokens) == {
            *("tokenType", "accessToken", "accessTokenExpiresAt", "refreshToken", "refreshTokenExpiresAt"),
        }
        profile = await client.get(ME, headers=member.headers)
        assert profile.json()["data"]["id"] == member.user["id"]

    async def test_answers_without_anything_secret(self, client: httpx.AsyncClient) -> None:
        body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "fullName": "Ada"}
        answer = await client.post("/api/v1/auth/register", json=body)
        assert PASSWORD not in answer.text
        assert "hash" not in answer.text.lower()

    async def test_the_creator_owns_the_tenant(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        tenants = await client.get("/api/v1/users/me/tenants", headers=member.headers)
        assert [(each["id"], each["role"]) for each in tenants.json()["data"]] == [(member.tenant["id"], "OWNER")]

    async def test_the_same_name_twice_makes_two_slugs(self, client: httpx.AsyncClient) -> None:
        name = f"Shared {uuid4().hex}"
        slugs = {(await register(client, tenantName=name)).tenant["slug"] for _ in range(2)}
        assert len(slugs) == 2

    async def test_a_taken_address_is_a_conflict_however_it_is_written(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        body = {"email": member.email.upper(), "password": PASSWORD, "fullName": "Eve"}
        error = error_of(await client.post("/api/v1/auth/register", json=body), 409, "CONFLICT")
        assert error["details"][0]["path"] == "email"

    @pytest.mark.parametrize("domain", ["xn--mnchen-3ya.example.org", "EXAMPLE\u3002org"])
    async def test_whoever_registers_logs_in_with_what_they_wrote(self, client: httpx.AsyncClient, domain: str) -> None:
        """Domains have several spellings; one is stored, and each finds it."""
        member = await register(client, email=f"{uuid4().hex}@{domain}")
        login = await client.post(LOGIN, json={"email": member.email, "password": PASSWORD})
        assert login.status_code == 200
        body = {"email": member.user["email"], "password": PASSWORD, "fullName": "Ada Example"}
        error_of(await client.post("/api/v1/auth/register", json=body), 409, "CONFLICT")

    async def test_two_ways_to_write_a_character_are_one_address(self, client: httpx.AsyncClient) -> None:
        """The capital J with caron has no composed form, the small one has."""
        rest = f"{uuid4().hex}@example.com"
        await register(client, email=f"J\u030c{rest}")
        body = {"email": f"\u01f0{rest}", "password": PASSWORD, "fullName": "Ada Example"}
        assert error_of(await client.post("/api/v1/auth/register", json=body), 409, "CONFLICT")

    async def test_a_long_name_makes_a_tenants_name_that_may_be_sent_again(self, client: httpx.AsyncClient) -> None:
        member = await register(client, fullName=f"  {'N' * 200}  ")
        assert member.user["fullName"] == "N" * 200
        name = member.tenant["name"]
        assert name.endswith("N's workspace")
        answer = await client.patch("/api/v1/tenants/current", json={"name": name}, headers=member.headers)
        assert answer.status_code == 200, answer.text

    async def test_of_parallel_registrations_one_wins(self, client: httpx.AsyncClient) -> None:
        body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "fullName": "Ada"}
        answers = await asyncio.gather(*(client.post("/api/v1/auth/register", json=body) for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]

    @pytest.mark.parametrize(
        ("password", "codes"),
        [
            ("Ab1!", {"PASSWORD_TOO_SHORT"}),
            ("abcdefg1!", {"PASSWORD_NEEDS_UPPER"}),
            ("ABCDEFG1!", {"PASSWORD_NEEDS_LOWER"}),
            ("Abcdefgh!", {"PASSWORD_NEEDS_DIGIT"}),
            ("Abcdefgh1", {"PASSWORD_NEEDS_SPECIAL"}),
            ("Aa1!" + "x" * 69, {"PASSWORD_TOO_LONG"}),
            ("Aa1!" + "ü" * 35, {"PASSWORD_TOO_LONG"}),
            ("", {"PASSWORD_TOO_SHORT", "PASSWORD_NEEDS_UPPER", "PASSWORD_NEEDS_LOWER"}),
        ],
    )
    async def test_a_weak_password_names_every_rule(
        self, client: httpx.AsyncClient, password: str, codes: set[str]
    ) -> None:
        body = {"email": f"{uuid4().hex}@example.com", "password": password, "fullName": "Ada"}
        error = error_of(await client.post("/api/v1/auth/register", json=body), 400, "VALIDATION_ERROR")
        assert codes <= {each["code"] for each in error["details"]}
        assert {each["path"] for each in error["details"]} == {"password"}
        assert not password or password not in str(error)

    async def test_seventy_two_bytes_are_the_most_and_are_said(self, client: httpx.AsyncClient) -> None:
        await register(client, password="Aa1!" + "x" * 68)
        body = {"email": f"{uuid4().hex}@example.com", "password": "Aa1!" + "x" * 69, "fullName": "Ada"}
        error = error_of(await client.post("/api/v1/auth/register", json=body), 400, "VALIDATION_ERROR")
        assert "72 bytes" in error["details"][0]["message"]

    @pytest.mark.parametrize("email", ["", "nobody", "a@", "@example.com", "a b@example.com", "Ada <a@example.com>"])
    async def test_what_is_no_address_is_refused(self, client: httpx.AsyncClient, email: str) -> None:
        body = {"email": email, "password": PASSWORD, "fullName": "Ada"}
        error = error_of(await client.post("/api/v1/auth/register", json=body), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in error["details"]] == ["email"]

    @pytest.mark.parametrize("field", ["role", "isActive", "tenantId", "id", "emailVerifiedAt", "version"])
    async def test_nothing_can_be_mass_assigned(self, client: httpx.AsyncClient, field: str) -> None:
        body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "fullName": "Ada", field: "ADMIN"}
        error = error_of(await client.post("/api/v1/auth/register", json=body), 400, "VALIDATION_ERROR")
        assert [(each["path"], each["code"]) for each in error["details"]] == [(field, "UNKNOWN_FIELD")]
        assert error["details"][0]["message"] == "unknown field; remove it or correct its name"


@pytest.mark.case(6)
class TestLogin:
    """Case 6: guessing is slow, counted per address, and tells nothing."""

    async def test_opens_a_session_and_notes_the_time(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        answer = await client.post(LOGIN, json={"email": f" {member.email.upper()} ", "password": PASSWORD})
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert data["user"]["lastLoginAt"] is not None
        assert data["tenant"]["id"] == member.tenant["id"]
        assert (await client.get(ME, headers=bearer(data["tokens"]["accessToken"]))).status_code == 200

    async def test_the_answer_is_the_same_whether_the_address_exists_or_not(self, client: httpx.AsyncClient) -> None:
        """Case 6."""
        member = await register(client)
        wrong = await client.post(LOGIN, json={"email": member.email, "password": "Wrong-Pass-1"})
        nobody = await client.post(LOGIN, json={"email": f"{uuid4().hex}@example.com", "password": "Wrong-Pass-1"})
        assert error_of(wrong, 401, "INVALID_CREDENTIALS") == error_of(nobody, 401, "INVALID_CREDENTIALS")

    async def test_one_hash_of_one_cost_is_computed_whether_the_address_exists_or_not(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        member = await register(client)
        costs: list[bytes] = []
        check = bcrypt.checkpw

        def counting(password: bytes, stored: bytes) -> bool:
            costs.append(stored[:7])
            return check(password, stored)

        monkeypatch.setattr(bcrypt, "checkpw", counting)
        for email in (member.email, f"{uuid4().hex}@example.com"):
            await client.post(LOGIN, json={"email": email, "password": "Wrong-Pass-1"})
        assert costs == [b"$2b$04$"] * 2

    @pytest.mark.parametrize("password", ["", "x" * 73, "x" * 1000, "\U0001f511" * 200])
    async def test_a_password_that_bcrypt_cannot_take_is_only_wrong(
        self, client: httpx.AsyncClient, password: str
    ) -> None:
        member = await register(client)
        answer = await client.post(LOGIN, json={"email": member.email, "password": password})
        assert error_of(answer, 401, "INVALID_CREDENTIALS")

    async def test_a_longer_password_with_the_same_start_is_wrong(self, client: httpx.AsyncClient) -> None:
        password = "Aa1!" + "x" * 68
        member = await register(client, password=password)
        answer = await client.post(LOGIN, json={"email": member.email, "password": password + "y"})
        assert error_of(answer, 401, "INVALID_CREDENTIALS")

    @pytest.mark.parametrize("exists", [True, False])
    async def test_five_failures_lock_the_address_for_fifteen_minutes(
        self, client: httpx.AsyncClient, exists: bool
    ) -> None:
        email = (await register(client)).email if exists else f"{uuid4().hex}@example.com"
        for _ in range(5):
            wrong = await client.post(LOGIN, json={"email": email, "password": "Wrong-Pass-1"})
            error_of(wrong, 401, "INVALID_CREDENTIALS")
        locked = await client.post(LOGIN, json={"email": email, "password": PASSWORD})
        error_of(locked, 423, "ACCOUNT_LOCKED")
        assert 0 < int(locked.headers["Retry-After"]) <= 901
        with clock.freeze(clock.now() + timedelta(minutes=15, seconds=1)):
            later = await client.post(LOGIN, json={"email": email, "password": PASSWORD})
        assert later.status_code == (200 if exists else 401)

    async def test_failures_far_apart_do_not_lock(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        start = clock.now()
        for number in range(6):
            with clock.freeze(start + timedelta(minutes=4 * number)):
                wrong = await client.post(LOGIN, json={"email": member.email, "password": "Wrong-Pass-1"})
                assert error_of(wrong, 401, "INVALID_CREDENTIALS")

    async def test_a_success_starts_the_count_again(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        for password in ["Wrong-Pass-1"] * 4 + [PASSWORD] + ["Wrong-Pass-1"] * 4:
            await client.post(LOGIN, json={"email": member.email, "password": password})
        answer = await client.post(LOGIN, json={"email": member.email, "password": PASSWORD})
        assert answer.status_code == 200

    @pytest.mark.parametrize("path", ["/api/v1/auth/login", "/api/v1/users/me/password"])
    async def test_a_password_that_is_replaced_while_it_is_checked_is_wrong(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        """The reset has ended all sessions: one that is opened just after it would go on."""
        member, passwords = await register(client), app.state.platform.passwords
        matches = passwords.matches

        async def slowly(password: str, stored: str | None) -> bool:
            found: bool = await matches(password, stored)
            async with system_scope(sessions) as scope:
                await Users(scope).set_password(UUID(member.user["id"]), await passwords.hash("Another-Pass-9"))
            return found

        monkeypatch.setattr(passwords, "matches", slowly)
        login = {"email": member.email, "password": PASSWORD}
        change = {"currentPassword": PASSWORD, "newPassword": "Attackers-Pass-9"}
        body, status = (login, 401) if path.endswith("login") else (change, 400)
        answer = await client.post(path, json=body, headers=member.headers)
        assert answer.status_code == status, answer.text
        monkeypatch.undo()
        again = await client.post("/api/v1/auth/login", json={"email": member.email, "password": "Another-Pass-9"})
        assert again.status_code == 200

    async def test_parallel_guesses_are_counted_one_by_one(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        guesses = [client.post(LOGIN, json={"email": member.email, "password": f"Wrong-{n}"}) for n in range(12)]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*guesses))
        assert statuses == [401] * 5 + [423] * 7


@pytest.mark.case(5)
class TestRefresh:
    """Case 5: one line of tokens per login; a used one ends it, a lost answer does not."""

    async def test_gives_the_next_tokens(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        answer = await client.post(REFRESH, json={"refreshToken": member.tokens["refreshToken"]})
        tokens = answer.json()["data"]["tokens"]
        assert tokens["refreshToken"] != member.tokens["refreshToken"]
        assert (await client.get(ME, headers=bearer(tokens["accessToken"]))).status_code == 200

    async def test_a_lost_answer_is_given_again_within_ten_seconds(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        body = {"refreshToken": member.tokens["refreshToken"]}
        first = (await client.post(REFRESH, json=body)).json()["data"]["tokens"]["refreshToken"]
        with clock.freeze(clock.now() + REUSE_GRACE - timedelta(seconds=1)):
            again = (await client.post(REFRESH, json=body)).json()["data"]["tokens"]["refreshToken"]
        assert first == again

    async def test_later_reuse_ends_the_whole_family(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        body = {"refreshToken": member.tokens["refreshToken"]}
        successor = (await client.post(REFRESH, json=body)).json()["data"]["tokens"]
        with clock.freeze(clock.now() + REUSE_GRACE + timedelta(seconds=1)):
            assert error_of(await client.post(REFRESH, json=body), 401, "TOKEN_REUSED")
            follow = await client.post(REFRESH, json={"refreshToken": successor["refreshToken"]})
            assert error_of(follow, 401, "UNAUTHENTICATED")
            for access in (member.tokens["accessToken"], successor["accessToken"]):
                assert error_of(await client.get(ME, headers=bearer(access)), 401, "UNAUTHENTICATED")

    async def test_reuse_leaves_other_sessions_alone(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        other = await client.post(LOGIN, json={"email": member.email, "password": PASSWORD})
        body = {"refreshToken": member.tokens["refreshToken"]}
        await client.post(REFRESH, json=body)
        with clock.freeze(clock.now() + timedelta(seconds=11)):
            error_of(await client.post(REFRESH, json=body), 401, "TOKEN_REUSED")
            headers = bearer(other.json()["data"]["tokens"]["accessToken"])
            assert (await client.get(ME, headers=headers)).status_code == 200

    async def test_twenty_at_once_rotate_once(self, client: httpx.AsyncClient, sessions: Sessions) -> None:
        member = await register(client)
        body = {"refreshToken": member.tokens["refreshToken"]}
        answers = await asyncio.gather(*(client.post(REFRESH, json=body) for _ in range(20)))
        assert {each.status_code for each in answers} == {200}
        assert len({each.json()["data"]["tokens"]["refreshToken"] for each in answers}) == 1
        async with sessions() as session:
            statement = select(UserSession).where(
                col(UserSession.refresh_hash) == fingerprint(member.tokens["refreshToken"])
            )
            first = (await session.execute(statement)).scalar_one()
        assert len(await rows_of(sessions, str(first.family_id))) == 2

    async def test_an_expired_one_says_so(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        with clock.freeze(clock.now() + timedelta(days=7, minutes=1)):
            answer = await client.post(REFRESH, json={"refreshToken": member.tokens["refreshToken"]})
        assert error_of(answer, 401, "TOKEN_EXPIRED")

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é" * 10])
    async def test_what_is_no_token_is_refused(self, client: httpx.AsyncClient, token: str) -> None:
        assert error_of(await client.post(REFRESH, json={"refreshToken": token}), 401, "UNAUTHENTICATED")

    async def test_an_access_token_does_not_refresh(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        answer = await client.post(REFRESH, json={"refreshToken": member.tokens["accessToken"]})
        assert error_of(answer, 401, "UNAUTHENTICATED")


@pytest.mark.case(5)
class TestLogout:
    """Case 5: after it, no token of the session works."""

    async def test_ends_access_and_refresh_at_once(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        refreshed = await client.post(REFRESH, json={"refreshToken": member.tokens["refreshToken"]})
        newest = refreshed.json()["data"]["tokens"]
        answer = await client.post("/api/v1/auth/logout", headers=member.headers)
        assert answer.status_code == 204
        assert answer.content == b""
        for access in (member.tokens["accessToken"], newest["accessToken"]):
            error_of(await client.get(ME, headers=bearer(access)), 401, "UNAUTHENTICATED")
        follow = await client.post(REFRESH, json={"refreshToken": newest["refreshToken"]})
        error_of(follow, 401, "UNAUTHENTICATED")


class TestChangePassword:
    PATH = "/api/v1/users/me/password"

    async def test_the_new_one_works_and_other_sessions_end(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        other = (await client.post(LOGIN, json={"email": member.email, "password": PASSWORD})).json()["data"]["tokens"]
        body = {"currentPassword": PASSWORD, "newPassword": "Another-One-2"}
        assert (await client.post(self.PATH, json=body, headers=member.headers)).status_code == 204
        assert (await client.get(ME, headers=member.headers)).status_code == 200
        error_of(await client.get(ME, headers=bearer(other["accessToken"])), 401, "UNAUTHENTICATED")
        old = await client.post(LOGIN, json={"email": member.email, "password": PASSWORD})
        error_of(old, 401, "INVALID_CREDENTIALS")
        new = await client.post(LOGIN, json={"email": member.email, "password": "Another-One-2"})
        assert new.status_code == 200

    async def test_the_current_one_must_be_right_and_guesses_are_counted(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        body = {"currentPassword": "Wrong-Pass-1", "newPassword": "Another-One-2"}
        for _ in range(5):
            answer = await client.post(self.PATH, json=body, headers=member.headers)
            assert error_of(answer, 400, "VALIDATION_ERROR")["details"][0]["path"] == "currentPassword"
        error_of(await client.post(self.PATH, json=body, headers=member.headers), 423, "ACCOUNT_LOCKED")

    async def test_parallel_guesses_are_counted_one_by_one(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        body = {"currentPassword": "Wrong-Guess-1", "newPassword": "Another-Pass-9"}
        guesses = (client.post("/api/v1/users/me/password", json=body, headers=member.headers) for _ in range(12))
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*guesses))
        assert statuses == [400] * 5 + [423] * 7

    async def test_a_weak_new_one_is_refused(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        body = {"currentPassword": PASSWORD, "newPassword": "weak"}
        answer = await client.post(self.PATH, json=body, headers=member.headers)
        assert {each["path"] for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]} == {"newPassword"}
