"""Questions as the Prefect UI asks them."""

from uuid import UUID

import pytest

from flows.forms import data_of, form_for, form_keys, plain_text
from flows.spec import WaitKind

WAIT = UUID("01a1fdd8-1f43-78bc-9de5-205e99c274c1")
OBJECT = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "title": "Amount"}, "to": {}},
    "$defs": {"a": {}},
}


def test_each_wait_has_keys_of_its_own() -> None:
    keys = form_keys(WAIT)
    assert set(keys) == {"schema", "description", "response"}
    assert len({*keys.values(), *form_keys(UUID(int=1)).values()}) == 6


def test_an_approval_asks_for_a_verdict() -> None:
    form = form_for(WaitKind.APPROVAL, None)
    assert form["required"] == ["approved"]
    assert form["properties"]["approved"]["type"] == "boolean"


def test_an_object_is_asked_for_as_it_is_in_written_order() -> None:
    form = form_for(WaitKind.INPUT, OBJECT)
    assert form["properties"] == {
        "amount": {"type": "integer", "title": "Amount", "position": 0},
        "to": {"title": "to", "position": 1},
    }
    assert form["$defs"] == {"a": {}}
    assert data_of(OBJECT, {"amount": 1}) == {"amount": 1}


@pytest.mark.parametrize("schema", [None, {}, {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {}}}])
def test_other_data_is_asked_for_under_data(schema: dict[str, object] | None) -> None:
    form = form_for(WaitKind.INPUT, schema)
    assert form["required"] == ["data"]
    assert form.get("$defs") == (schema or {}).get("$defs")
    assert "$defs" not in form["properties"]["data"]
    assert data_of(schema, {"data": [1]}) == [1]


def test_a_tenants_words_are_no_markup_for_the_operator() -> None:
    assert plain_text("Ship 3 boxes") == "Ship 3 boxes"
    assert plain_text("<b> [x](javascript:y)") == r"\<b\> \[x\]\(javascript\:y\)"
