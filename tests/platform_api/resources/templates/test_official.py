"""The templates that come with the platform: each makes something that compiles, and they are written once."""

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Template
from platform_api.resources.templates.official import official_templates
from platform_api.resources.templates.service import write_official_templates
from tests.factories.api import Api, owner
from tests.fixtures.http import error_of

OFFICIAL = official_templates()


@pytest.fixture
async def api(client: httpx.AsyncClient, sessions: Sessions) -> Api:
    async with system_scope(sessions) as scope:
        await write_official_templates(scope)
    return await owner(client)


def examples(template: dict[str, Any]) -> dict[str, Any]:
    """A value for each parameter that needs one."""
    properties = template["parameters"]["properties"]
    return {name: properties[name]["examples"][0] for name in template["parameters"]["required"]}


def test_there_are_enough_of_every_kind() -> None:
    assert len(OFFICIAL) >= 8
    assert len({template["id"] for template in OFFICIAL}) == len(OFFICIAL)
    assert sum(template["type"] == "WORKFLOW" for template in OFFICIAL) >= 2
    kinds = {
        agent["type"]
        for template in OFFICIAL
        for agent in template["definition"].get("agents", {"agent": template["definition"]}).values()
    }
    assert kinds == {"DATA", "API", "CODE", "LLM"}


@pytest.mark.parametrize("template", OFFICIAL, ids=lambda each: each["name"])
async def test_makes_what_can_be_activated(api: Api, template: dict[str, Any]) -> None:
    """Activating a workflow compiles it with its agents, and starting it compiles its plan."""
    made = await api.made(f"/templates/{template['id']}/instantiate", {"customizations": examples(template)})
    kind = "workflows" if template["type"] == "WORKFLOW" else "agents"
    answer = await api.patch(f"/{kind}/{made['id']}", {"status": "ACTIVE"})
    assert answer.status_code == 200, answer.text
    if kind == "workflows":
        assert (await api.post(f"/workflows/{made['id']}/execute")).status_code == 201


async def test_the_one_that_asks_a_model_is_answered_by_any_provider(api: Api) -> None:
    """Its schema has the labels that were chosen; what it asks is reckoned with the provider that there is."""
    template = next(each for each in OFFICIAL if each["definition"].get("type") == "LLM")
    given = {"customizations": {"labels": ["late", "early"], "model": "any"}}
    made = await api.made(f"/templates/{template['id']}/instantiate", given)
    agent = (await api.get(f"/agents/{made['id']}")).json()["data"]
    assert agent["config"]["responseSchema"]["properties"]["label"] == {"enum": ["late", "early"]}
    assert "{{ inputs.text }}" in agent["config"]["prompt"]
    await api.made("/llm-providers", {"name": "rehearsal", "kind": "FAKE"})
    estimate = (await api.post(f"/agents/{made['id']}/estimate", {"input": {"text": "It came late."}})).json()["data"]
    assert [(each["provider"], each["problem"]) for each in estimate["steps"]] == [("rehearsal", None)]


async def test_everybody_sees_them_and_nobody_changes_them(api: Api) -> None:
    answer = await api.client.get("/api/v1/templates", params={"isOfficial": True, "pageSize": 100})
    assert {row["id"] for row in answer.json()["data"]} >= {str(template["id"]) for template in OFFICIAL}
    error_of(await api.patch(f"/templates/{OFFICIAL[0]['id']}", {"name": "mine"}), 404, "NOT_FOUND")
    error_of(await api.send("DELETE", f"/templates/{OFFICIAL[0]['id']}"), 404, "NOT_FOUND")


async def test_again_changes_nothing_and_a_new_release_changes_what_differs(fresh_sessions: Sessions) -> None:
    known = OFFICIAL[0]["id"]

    async def rows() -> dict[Any, tuple[int, int, Any, str]]:
        async with system_scope(fresh_sessions) as scope:
            await write_official_templates(scope)
        async with system_scope(fresh_sessions) as scope:
            found = (await scope.session.execute(select(Template))).scalars()
            return {row.id: (row.version, row.usage_count, row.updated_at, row.name) for row in found}

    first = await rows()
    assert len(first) == len(OFFICIAL)
    assert await rows() == first
    async with system_scope(fresh_sessions) as scope:
        older = update(Template).where(col(Template.id) == known).values(name="As it was called once", usage_count=7)
        await scope.session.execute(older)
    again = await rows()
    assert {key: row for key, row in again.items() if key != known} == {
        key: row for key, row in first.items() if key != known
    }
    assert (again[known][0], again[known][1], again[known][3]) == (2, 7, OFFICIAL[0]["name"])


async def test_they_belong_to_no_tenant(api: Api, sessions: Sessions) -> None:
    async with system_scope(sessions) as scope:
        owned = select(func.count()).where(
            col(Template.id).in_([template["id"] for template in OFFICIAL]), col(Template.tenant_id).is_not(None)
        )
        assert (await scope.session.execute(owned)).scalar_one() == 0
