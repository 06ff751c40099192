"""LLM providers over HTTP: credentials never come out, prices are merged, addresses keep the guard's rules."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from agents.errors import AgentError
from agents.providers.pricing import CATALOGUE
from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import LlmProvider
from platform_api.kit.crypto import Cipher
from platform_api.resources.llm_providers.keyring import Keyring
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.canary import tables_with
from tests.fixtures.http import error_of

KEY, HEADER = "canary-key-77ab", "canary-header-19cd"
GATEWAY = {"name": "Gateway", "kind": "OPENAI_COMPATIBLE", "baseUrl": "https://models.example.com/v1"}
KEYED = {**GATEWAY, "credentials": {"apiKey": KEY, "headers": {"X-Team": HEADER}}}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def keyring(api: Api, sessions: Sessions, settings: Settings, only: UUID | None = None) -> Keyring:
    return Keyring(sessions, api.tenant_id, Cipher.of(settings.auth), only=only)


def details(answer: httpx.Response) -> set[tuple[str, str]]:
    assert answer.status_code in (400, 409), answer.text
    return {(each["path"], each["code"]) for each in answer.json()["error"]["details"]}


class TestCredentials:
    @pytest.mark.case(31)
    async def test_they_go_in_and_never_come_out(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        """Case 31."""
        made = await api.made("/llm-providers", KEYED)
        path = f"/llm-providers/{made['id']}"
        changed = await api.patch(path, {"priority": 3, "credentials": "********"})
        listed, audit = await api.get("/llm-providers"), await api.get("/audit-logs", pageSize=100)
        for answer in (changed, listed, audit, await api.get(path)):
            assert KEY not in answer.text
            assert HEADER not in answer.text
        assert made["credentials"] == changed.json()["data"]["credentials"] == "********"
        async with system_scope(sessions) as scope:
            assert await tables_with(scope.session, KEY) == {}
            assert await tables_with(scope.session, HEADER) == {}
        (opened,) = await keyring(api, sessions, settings).usable()
        assert (opened.api_key, opened.headers, opened.priority) == (KEY, {"X-Team": HEADER}, 3)
        assert KEY not in repr(opened)
        assert HEADER not in repr(opened)

    async def test_they_stay_with_the_address_that_they_were_given_for(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        path = f"/llm-providers/{(await api.made('/llm-providers', KEYED))['id']}"
        elsewhere = {"baseUrl": "https://evil.example.net/v1"}
        assert details(await api.patch(path, elsewhere)) == {("credentials", "MISSING")}
        assert details(await api.patch(path, {**elsewhere, "credentials": "********"})) == {("credentials", "MISSING")}
        (kept,) = await keyring(api, sessions, settings).usable()
        assert kept.base_url == GATEWAY["baseUrl"]
        moved = await api.patch(path, {**elsewhere, "credentials": {"apiKey": "another"}})
        assert moved.status_code == 200, moved.text
        (opened,) = await keyring(api, sessions, settings).usable()
        assert (opened.api_key, opened.headers) == ("another", {})

    @pytest.mark.parametrize("gone", [None, {}])
    async def test_they_can_be_taken_away(self, api: Api, gone: Any) -> None:
        path = f"/llm-providers/{(await api.made('/llm-providers', KEYED))['id']}"
        assert (await api.patch(path, {"credentials": gone})).json()["data"]["credentials"] is None

    async def test_what_was_deleted_holds_none(self, api: Api, sessions: Sessions) -> None:
        made = await api.made("/llm-providers", KEYED)
        assert (await api.send("DELETE", f"/llm-providers/{made['id']}")).status_code == 204
        error_of(await api.get(f"/llm-providers/{made['id']}"), 404, "NOT_FOUND")
        async with system_scope(sessions) as scope:
            row = await scope.session.get_one(LlmProvider, UUID(made["id"]))
        assert row.credentials is None
        await api.made("/llm-providers", KEYED)  # the name is free again

    async def test_a_ciphertext_opens_in_its_own_row_alone(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        made = await api.made("/llm-providers", KEYED)
        other = await api.made("/llm-providers", {**GATEWAY, "name": "Other"})
        async with system_scope(sessions) as scope:
            row = await scope.session.get_one(LlmProvider, UUID(made["id"]))
            moved = update(LlmProvider).where(col(LlmProvider.id) == UUID(other["id"]))
            await scope.session.execute(moved.values(credentials=row.credentials))
        with pytest.raises(AgentError, match="cannot be opened") as caught:
            await keyring(api, sessions, settings, only=UUID(other["id"])).usable()
        assert caught.value.code == "SECRET_UNREADABLE"

    @pytest.mark.case(22)
    @pytest.mark.parametrize(
        "credentials",
        [
            {"apiKey": "line\r\nX-Injected: 1"},
            {"apiKey": "ünï"},
            {"apiKey": ""},
            {"headers": {"X-A": "a\nb"}},
            {"headers": {"X A": "a"}},
            {"headers": {"X-A\r\n": "a"}},
            {"apiKey": 5},
            {"token": "x"},
        ],
    )
    async def test_what_no_header_holds_is_refused_and_not_repeated(self, api: Api, credentials: Any) -> None:
        """Case 22."""
        answer = await api.post("/llm-providers", {**GATEWAY, "credentials": credentials})
        error_of(answer, 400, "VALIDATION_ERROR")
        assert "X-Injected" not in answer.text


class TestWhoMay:
    @pytest.mark.case(11, 13)
    async def test_by_role_key_and_tenant(
        self, api: Api, sessions: Sessions, settings: Settings, client: httpx.AsyncClient
    ) -> None:
        """Cases 11 and 13."""
        made = await api.made("/llm-providers", KEYED)
        path = f"/llm-providers/{made['id']}"
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert (await editor.get(path)).json()["data"]["credentials"] == "********"
        narrow = await by_key(api, sessions, "agents:read")
        error_of(await narrow.get(path), 403, "FORBIDDEN")
        for caller in (editor, narrow):
            error_of(await caller.post("/llm-providers", GATEWAY), 403, "FORBIDDEN")
            error_of(await caller.patch(path, {"priority": 1}), 403, "FORBIDDEN")
            error_of(await caller.send("DELETE", path), 403, "FORBIDDEN")
        stranger = await owner(client)
        error_of(await stranger.get(path), 404, "NOT_FOUND")
        error_of(await stranger.patch(path, {"priority": 1}), 404, "NOT_FOUND")
        error_of(await stranger.send("DELETE", path), 404, "NOT_FOUND")
        assert (await stranger.get("/llm-providers")).json()["data"] == []
        assert await keyring(stranger, sessions, settings).usable() == ()
        assert await keyring(stranger, sessions, settings, only=UUID(made["id"])).usable() == ()

    @pytest.mark.case(12)
    @pytest.mark.parametrize("field", ["id", "tenantId", "version", "createdAt", "deletedAt"])
    async def test_nothing_is_assigned_that_is_not_the_callers(self, api: Api, field: str) -> None:
        """Case 12."""
        assert error_of(await api.post("/llm-providers", {**GATEWAY, field: 1}), 400, "VALIDATION_ERROR")


class TestAddresses:
    @pytest.mark.case(15)
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:11434/v1",
            "http://localhost:11434/v1",
            "http://api.localhost./v1",
            "http://2130706433/v1",
            "http://0x7f.1/v1",
            "http://[::1]/v1",
            "http://[::ffff:127.0.0.1]/v1",
            "http://169.254.169.254/v1",
            "http://10.1.2.3/v1",
            "http://user:pass@models.example.com/v1",
            "file:///etc/passwd",
            "gopher://models.example.com",
            "https://models.example.com/v1?key=1",
            "https://models.example.com/v1#x",
            "https://models.example.com:99999/v1",
            "https://models.example.com/\r\nX: 1",
            "models.example.com",
        ],
    )
    async def test_what_the_guard_refuses_is_not_stored(self, api: Api, url: str) -> None:
        """Case 15."""
        answer = await api.post("/llm-providers", {**GATEWAY, "baseUrl": url})
        assert {path for path, _ in details(answer)} == {"baseUrl"}

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"name": "A", "kind": "OPENAI_COMPATIBLE"}, {("baseUrl", "MISSING")}),
            ({**GATEWAY, "kind": "FAKE"}, {("baseUrl", "NOT_ALLOWED")}),
            ({**GATEWAY, "script": {"answers": []}}, {("script", "NOT_ALLOWED")}),
            (
                {"name": "A", "kind": "FAKE", "script": {"answers": [{"txt": "x"}]}},
                {("script.answers[0].txt", "UNKNOWN_FIELD")},
            ),
        ],
    )
    async def test_what_does_not_go_with_the_kind(self, api: Api, body: Any, expected: set[tuple[str, str]]) -> None:
        assert details(await api.post("/llm-providers", body)) == expected

    async def test_the_kind_stays(self, api: Api) -> None:
        path = f"/llm-providers/{(await api.made('/llm-providers', GATEWAY))['id']}"
        assert details(await api.patch(path, {"kind": "OPENAI"})) == {("kind", "IMMUTABLE")}
        assert (await api.patch(path, {"kind": "OPENAI_COMPATIBLE"})).json()["data"]["version"] == 1


class TestPrices:
    async def test_the_vendors_models_have_the_catalogues_prices_with_its_date(self, api: Api) -> None:
        made = await api.made("/llm-providers", {"name": "Anthropic", "kind": "ANTHROPIC"})
        prices = {each["model"]: each for each in made["prices"]}
        assert prices["claude-sonnet-4-5"] == {
            "model": "claude-sonnet-4-5",
            "prompt": 3.0,
            "completion": 15.0,
            "cached": 0.3,
            "source": "CATALOGUE",
            "asOf": CATALOGUE.as_of.isoformat(),
        }

    async def test_own_prices_go_first_and_stay_exact(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        models = [{"name": "gpt-5", "price": {"prompt": 0.1, "completion": 0.3}}, {"name": "gpt-5-mini"}]
        made = await api.made("/llm-providers", {"name": "OpenAI", "kind": "OPENAI", "models": models})
        assert [(each["model"], each["source"]) for each in made["prices"]] == [
            ("gpt-5", "OWN"),
            ("gpt-5-mini", "CATALOGUE"),
        ]
        assert [each["name"] for each in made["models"]] == ["gpt-5", "gpt-5-mini"]
        (opened,) = await keyring(api, sessions, settings).usable()
        price = opened.models[0].price
        assert price is not None
        assert (str(price.prompt), str(price.completion), price.cached) == ("0.1", "0.3", None)
        assert opened.models[1].price is None

    async def test_a_model_answers_for_others_by_its_aliases(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        models = [{"name": "llama3", "aliases": ["gpt-5", "gpt-5-mini"]}, {"name": "tiny", "aliases": ["*"]}]
        made = await api.made("/llm-providers", {**GATEWAY, "models": models})
        assert made["models"] == [{**each, "price": None} for each in models]
        (opened,) = await keyring(api, sessions, settings).usable()
        named = ("llama3", "gpt-5-mini", "claude-sonnet-4-5", "tiny")
        assert [opened.answering(model) for model in named] == ["llama3", "llama3", "tiny", "tiny"]
        path = f"/llm-providers/{made['id']}"
        await api.patch(path, {"models": [{"name": "llama3", "price": {"prompt": 1, "completion": 2}}]})
        (opened,) = await keyring(api, sessions, settings).usable()
        assert [opened.answering(model) for model in named] == ["llama3", None, None, None]
        assert (await api.get(path)).json()["data"]["prices"][0]["source"] == "OWN"

    async def test_a_price_that_nobody_knows_is_null_and_not_nothing(self, api: Api) -> None:
        """A vendor's prices hold at its own address alone."""
        models = [{"name": "gpt-5"}]
        (price,) = (await api.made("/llm-providers", {**GATEWAY, "models": models}))["prices"]
        assert (price["prompt"], price["completion"], price["source"]) == (None, None, None)

    @pytest.mark.parametrize(
        "models",
        [
            [{"name": "a"}, {"name": "a"}],
            [{"name": ""}],
            [{"name": "a", "price": {"prompt": -1, "completion": 1}}],
            [{"name": "a", "price": {"prompt": 1}}],
            [{"name": "a", "price": {"prompt": 1, "completion": 2_000_000}}],
            [{"name": str(number)} for number in range(501)],
            {"a": 1},
            [{"name": "a", "aliases": ["b"]}, {"name": "b"}],
            [{"name": "a", "aliases": ["*"]}, {"name": "b", "aliases": ["*"]}],
            [{"name": "a", "aliases": [""]}],
            [{"name": "a", "aliases": ["a"]}],
        ],
    )
    async def test_what_cannot_be_a_price_list(self, api: Api, models: Any) -> None:
        assert error_of(await api.post("/llm-providers", {**GATEWAY, "models": models}), 400, "VALIDATION_ERROR")


class TestChanges:
    async def test_versions_names_and_the_audit_log(self, api: Api) -> None:
        made = await api.made("/llm-providers", GATEWAY)
        path = f"/llm-providers/{made['id']}"
        taken = await api.post("/llm-providers", {**GATEWAY, "kind": "FAKE", "baseUrl": None})
        assert details(taken) == {("name", "TAKEN")}
        second = await api.patch(path, {"isActive": False}, **{"If-Match": '"1"'})
        assert (second.json()["data"]["version"], second.headers["ETag"]) == (2, '"2"')
        error_of(await api.patch(path, {"priority": 1, "version": 1}), 409, "VERSION_CONFLICT")
        error_of(await api.send("DELETE", path, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")
        other = await api.made("/llm-providers", {"name": "Other", "kind": "FAKE"})
        assert details(await api.patch(f"/llm-providers/{other['id']}", {"name": "Gateway"})) == {("name", "TAKEN")}
        await api.send("DELETE", path)
        entries = (await api.get("/audit-logs", resourceId=made["id"])).json()["data"]
        told = [each["action"].removeprefix("llm-provider.") for each in reversed(entries)]
        assert told == ["create", "update", "delete"]

    async def test_the_same_key_makes_one_provider(self, api: Api, sessions: Sessions) -> None:
        headers = {"Idempotency-Key": "one"}
        first = await api.send("POST", "/llm-providers", KEYED, **headers)
        again = await api.send("POST", "/llm-providers", KEYED, **headers)
        assert first.json()["data"] == again.json()["data"]
        error_of(await api.send("POST", "/llm-providers", GATEWAY, **headers), 409, "CONFLICT")
        async with system_scope(sessions) as scope:
            rows = await scope.session.scalars(select(LlmProvider).where(col(LlmProvider.tenant_id) == api.tenant_id))
            assert len(list(rows)) == 1

    async def test_runs_ask_the_active_ones_by_priority(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        for name, fields in {"C": {}, "A": {"priority": 5}, "off": {"isActive": False}, "B": {"priority": 7}}.items():
            await api.made("/llm-providers", {"name": name, "kind": "FAKE", **fields})
        assert [each.name for each in await keyring(api, sessions, settings).usable()] == ["A", "B", "C"]
        listed = (await api.get("/llm-providers", isActive="true")).json()["data"]
        assert [each["name"] for each in listed] == ["A", "B", "C"]
        (off,) = (await api.get("/llm-providers", isActive="false", kind="FAKE")).json()["data"]
        (tried,) = await keyring(api, sessions, settings, only=UUID(off["id"])).usable()
        assert tried.name == "off"
