"""Pages, orders, paths and envelopes."""

import pytest
from sqlalchemy.dialects import postgresql
from sqlmodel import select

from agents.errors import Problem
from platform_api.db.models import Agent
from platform_api.errors import ValidationFailed
from platform_api.kit.envelope import ERRORS, error_envelope, errors, ok, page_of
from platform_api.kit.pagination import Paging
from platform_api.kit.paths import json_path
from platform_api.kit.request_context import RequestContext, request_context
from platform_api.kit.sorting import SortOrder, sorting

FIELDS = {"createdAt": Agent.created_at, "name": Agent.name}


def order(sort_by: str, sort_order: SortOrder) -> str:
    chosen = sorting(FIELDS).dependency(sort_by, sort_order)
    return str(select(Agent.id).order_by(*chosen.order_by).compile(dialect=postgresql.dialect())).split("ORDER BY ")[1]


def test_an_order_ends_in_the_id() -> None:
    assert order("name", SortOrder.ASC) == "agents.name ASC, agents.id ASC"
    assert order("createdAt", SortOrder.DESC) == "agents.created_at DESC, agents.id DESC"


@pytest.mark.case(19)
@pytest.mark.parametrize("name", ["created_at", "id", "name desc", "", "__class__", "name;drop table agents"])
def test_only_listed_names_sort(name: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        order(name, SortOrder.ASC)
    assert [each.path for each in caught.value.details] == ["sortBy"]


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (20, 1), (21, 2)])
def test_pages_are_counted(total: int, pages: int) -> None:
    page = page_of([1, 2], total, Paging(page=1, page_size=20)).model_dump(mode="json", by_alias=True)
    assert page["meta"]["pagination"] == {"page": 1, "pageSize": 20, "totalItems": total, "totalPages": pages}
    assert page["data"] == [1, 2]


def test_the_offset_is_what_lies_before() -> None:
    assert [Paging(page=page, page_size=20).offset for page in (1, 2, 5)] == [0, 20, 80]


def test_envelopes_bear_time_and_request() -> None:
    with request_context(RequestContext(request_id="request-1")):
        good = ok({"a": 1}).model_dump(mode="json", by_alias=True)
        bad = error_envelope("CONFLICT", "No", [Problem(path="a[0]", code="TAKEN", message="Taken")])
    assert good["data"] == {"a": 1}
    assert (good["success"], bad["success"]) == (True, False)
    assert good["meta"]["requestId"] == bad["meta"]["requestId"] == "request-1"
    assert bad["error"]["details"] == [{"path": "a[0]", "code": "TAKEN", "message": "Taken"}]


def test_routes_document_only_statuses_of_the_contract() -> None:
    assert set(errors(404, 409)) == {404, 409}
    with pytest.raises(KeyError):
        errors(418)
    assert all(answer["description"] for answer in ERRORS.values())


@pytest.mark.parametrize(
    ("parts", "path"),
    [([], ""), (["a"], "a"), (["steps", 0, "agentId"], "steps[0].agentId"), ([0, 1, "a"], "[0][1].a")],
)
def test_paths(parts: list[str | int], path: str) -> None:
    assert json_path(parts) == path
