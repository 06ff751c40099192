"""Secrets over HTTP: values go in and never come out; names are checked where they are used."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from agents.errors import AgentError
from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Secret
from platform_api.kit.crypto import Cipher
from platform_api.resources.secrets.vault import Vault
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, colleague, owner, step
from tests.factories.canary import tables_with
from tests.fixtures.http import error_of

VALUE = "canary-value-41f0"
API_CONFIG = {"method": "GET", "url": "https://example.com", "auth": {"type": "bearer", "token": "{{ secrets.TOKEN }}"}}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def put(api: Api, name: str = "TOKEN", value: str = VALUE, project: str | None = None) -> dict[str, Any]:
    answer = await api.send("PUT", f"{f'/projects/{project}' if project else ''}/secrets/{name}", {"value": value})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def a_project(api: Api, name: str = "P") -> str:
    return str((await api.made("/projects", {"name": name}))["project"]["id"])


async def stored(sessions: Sessions, api: Api) -> list[Secret]:
    async with system_scope(sessions) as scope:
        mine = select(Secret).where(col(Secret.tenant_id) == api.tenant_id).order_by(col(Secret.id))
        return list(await scope.session.scalars(mine))


def vault(api: Api, sessions: Sessions, settings: Settings) -> Vault:
    return Vault(sessions, api.tenant_id, Cipher.of(settings.auth))


def codes(answer: httpx.Response) -> set[str]:
    assert answer.status_code in (400, 409), answer.text
    return {each["code"] for each in answer.json()["error"]["details"]}


class TestKeeping:
    async def test_only_names_are_shown(self, api: Api) -> None:
        await put(api)
        listed = await api.get("/secrets")
        (row,) = listed.json()["data"]
        assert set(row) == {"name", "projectId", "createdAt", "updatedAt"}
        assert (row["name"], row["projectId"]) == ("TOKEN", None)
        assert VALUE not in listed.text

    async def test_a_second_put_replaces_the_value_under_a_fresh_nonce(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        await put(api)
        (first,) = await stored(sessions, api)
        await put(api)
        await put(api, value="other-value")
        (second,) = await stored(sessions, api)
        assert (second.id, second.version) == (first.id, 3)
        assert second.nonce != first.nonce
        assert len(second.nonce) == 12
        assert await vault(api, sessions, settings).resolve(["TOKEN"], None) == {"TOKEN": "other-value"}

    @pytest.mark.case(31)
    async def test_the_database_holds_ciphertext_alone(self, api: Api, sessions: Sessions) -> None:
        """Case 31."""
        await put(api)
        await put(api, value=VALUE + "2", project=await a_project(api))
        async with system_scope(sessions) as scope:
            assert await tables_with(scope.session, VALUE) == {}
        assert VALUE not in (await api.get("/audit-logs", pageSize=100)).text

    async def test_tenant_and_project_have_names_of_their_own(self, api: Api) -> None:
        project = await a_project(api)
        await put(api)
        await put(api, "ONLY_HERE", project=project)
        assert [each["name"] for each in (await api.get("/secrets")).json()["data"]] == ["TOKEN"]
        inside = (await api.get(f"/projects/{project}/secrets")).json()["data"]
        assert [(each["name"], each["projectId"]) for each in inside] == [("ONLY_HERE", project)]

    async def test_a_deleted_secret_is_destroyed(self, api: Api, sessions: Sessions) -> None:
        project = await a_project(api)
        await put(api)
        await put(api, project=project)
        assert (await api.send("DELETE", "/secrets/TOKEN")).status_code == 204
        error_of(await api.send("DELETE", "/secrets/TOKEN"), 404, "NOT_FOUND")
        assert len(await stored(sessions, api)) == 1
        await api.send("DELETE", f"/projects/{project}")
        assert await stored(sessions, api) == []

    @pytest.mark.parametrize("name", ["1ST", "with-dash", "a b", "ünï", "A%0A", "x" * 101, "__proto__.x"])
    async def test_a_name_that_no_template_could_write(self, api: Api, name: str) -> None:
        answer = await api.send("PUT", f"/secrets/{name}", {"value": VALUE})
        assert error_of(answer, 400, "VALIDATION_ERROR")

    @pytest.mark.parametrize("body", [{}, {"value": ""}, {"value": None}, {"value": 5}, {"value": "x" * 65_537}])
    async def test_a_value_that_cannot_be_kept_is_not_repeated(self, api: Api, body: dict[str, Any]) -> None:
        answer = await api.send("PUT", "/secrets/TOKEN", body)
        error_of(answer, 400, "VALIDATION_ERROR")
        assert "xxxx" not in answer.text

    @pytest.mark.case(11, 13)
    async def test_who_may(self, api: Api, sessions: Sessions, settings: Settings, client: httpx.AsyncClient) -> None:
        """Cases 11 and 13."""
        await put(api)
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        key = await by_key(api, sessions, "agents:read")
        for caller in (viewer, key):
            error_of(await caller.get("/secrets"), 403, "FORBIDDEN")
            error_of(await caller.send("PUT", "/secrets/TOKEN", {"value": "x"}), 403, "FORBIDDEN")
            error_of(await caller.send("DELETE", "/secrets/TOKEN"), 403, "FORBIDDEN")
        stranger = await owner(client)
        assert (await stranger.get("/secrets")).json()["data"] == []
        error_of(await stranger.send("DELETE", "/secrets/TOKEN"), 404, "NOT_FOUND")

    async def test_each_change_is_in_the_audit_log(self, api: Api) -> None:
        await put(api)
        await put(api)
        await api.send("DELETE", "/secrets/TOKEN")
        entries = (await api.get("/audit-logs", resourceType="secret")).json()["data"]
        assert [each["action"] for each in reversed(entries)] == ["secret.create", "secret.update", "secret.delete"]
        assert entries[0]["before"]["name"] == "TOKEN"


class TestNames:
    async def test_an_agent_names_secrets_that_there_are(self, api: Api) -> None:
        project, body = await a_project(api), agent_body(type="API", config=API_CONFIG)
        assert codes(await api.post("/agents", body)) == {"UNKNOWN_SECRET"}
        await put(api, project=project)
        assert codes(await api.post("/agents", body)) == {"UNKNOWN_SECRET"}
        agent = await api.active_agent(type="API", config=API_CONFIG, projectId=project)
        assert codes(await api.patch(f"/agents/{agent['id']}", {"projectId": None})) == {"UNKNOWN_SECRET"}
        await put(api)
        assert (await api.patch(f"/agents/{agent['id']}", {"projectId": None})).status_code == 200

    @pytest.mark.case(13)
    async def test_another_tenants_secret_is_unknown(self, api: Api, client: httpx.AsyncClient) -> None:
        """Case 13: not by way of a nested reference."""
        await put(await owner(client))
        assert codes(await api.post("/agents", agent_body(type="API", config=API_CONFIG))) == {"UNKNOWN_SECRET"}

    async def test_a_workflows_inputs_name_the_secrets_of_its_project(self, api: Api) -> None:
        project, agent = await a_project(api), await api.active_agent()
        await put(api, project=project)
        steps = [step("a", agent, inputs={"t": "{{ secrets.TOKEN }}"})]
        assert codes(await api.post("/workflows", {"name": "W", "steps": steps})) == {"UNKNOWN_SECRET"}
        body = {"name": "W", "steps": steps, "projectId": project}
        assert (await api.post("/workflows/validate", body)).json()["data"]["valid"] is True
        workflow = await api.active_workflow(steps=steps, projectId=project)
        assert codes(await api.patch(f"/workflows/{workflow['id']}", {"projectId": None})) == {"UNKNOWN_SECRET"}

    async def test_checking_a_definition_tells_no_names(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        """A VIEWER may check one, and may not list secrets."""
        agent = await api.active_agent(isPublic=True)
        await put(api)
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        error_of(await viewer.get("/secrets"), 403, "FORBIDDEN")
        steps = [step("a", agent, inputs={"t": "{{ secrets.TOKE }}"})]
        answer = await viewer.post("/workflows/validate", {"name": "W", "steps": steps})
        assert [each["code"] for each in answer.json()["data"]["problems"]] == ["UNKNOWN_SECRET"]
        assert "TOKEN" not in answer.text

    async def test_a_run_does_not_start_without_its_secret(self, api: Api) -> None:
        await put(api)
        agent = await api.active_agent(type="API", config=API_CONFIG)
        workflow = await api.active_workflow(steps=[step("a", agent)])
        await api.send("DELETE", "/secrets/TOKEN")
        answer = await api.post(f"/workflows/{workflow['id']}/execute")
        error_of(answer, 409, "INVALID_STATE")
        assert codes(answer) == {"UNKNOWN_SECRET"}


class TestVault:
    async def test_the_projects_secret_goes_before_the_tenants(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        project, other = await a_project(api), await a_project(api, "Other")
        await put(api, value="of the project", project=project)
        await put(api, value="of the tenant")
        await put(api, "B", value="b of the tenant")
        values = vault(api, sessions, settings)
        assert await values.resolve(["TOKEN", "B", "C"], project) == {
            "TOKEN": "of the project",
            "B": "b of the tenant",
        }
        assert await values.resolve(["TOKEN"], other) == {"TOKEN": "of the tenant"}
        assert await values.resolve(["TOKEN"], None) == {"TOKEN": "of the tenant"}

    @pytest.mark.case(11)
    async def test_another_tenant_gets_nothing(
        self, api: Api, sessions: Sessions, settings: Settings, client: httpx.AsyncClient
    ) -> None:
        """Case 11."""
        project = await a_project(api)
        await put(api, project=project)
        stranger = await owner(client)
        assert await vault(stranger, sessions, settings).resolve(["TOKEN"], project) == {}

    @pytest.mark.parametrize("move", ["name", "project", "value"])
    async def test_a_ciphertext_that_was_moved_or_changed_does_not_open(
        self, api: Api, sessions: Sessions, settings: Settings, move: str
    ) -> None:
        project = await a_project(api)
        await put(api)
        changes: dict[str, Any] = {
            "name": {"name": "MOVED"},
            "project": {"project_id": UUID(project)},
            "value": {"ciphertext": b"\0" * 40},
        }[move]
        async with system_scope(sessions) as scope:
            mine = update(Secret).where(col(Secret.tenant_id) == api.tenant_id)
            await scope.session.execute(mine.values(**changes))
        with pytest.raises(AgentError, match="does not belong") as caught:
            await vault(api, sessions, settings).resolve(["TOKEN", "MOVED"], project)
        assert caught.value.code == "SECRET_UNREADABLE"
        assert VALUE not in str(caught.value)
