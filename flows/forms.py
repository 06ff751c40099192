"""Questions as the Prefect UI asks them: the form that it shows, where that lies beside the flow run, what is answered.

An answer in Prefect is always an object. Data that is described by another schema is asked for under `data`.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flows.spec import WaitKind

APPROVAL_FORM: Mapping[str, Any] = {
    "title": "Approval",
    "type": "object",
    "properties": {
        "approved": {"title": "Approved", "type": "boolean", "position": 0},
        "comment": {"title": "Comment", "type": "string", "position": 1},
    },
    "required": ["approved"],
}


_MARKUP = re.compile(r"[!-/:-@\[-`{-~]")
"""All of ASCII's punctuation, which a backslash takes the meaning of."""


def form_keys(wait_id: UUID) -> dict[str, str]:
    """Under which keys Prefect finds a question's form and description, and leaves the answer."""
    return {part: f"wait-{wait_id.hex}-{part}" for part in ("schema", "description", "response")}


def form_for(kind: WaitKind, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of what the Prefect UI asks for."""
    if kind is WaitKind.APPROVAL:
        return dict(APPROVAL_FORM)
    schema = schema or {}
    if not _is_wrapped(schema):
        return {"title": "Input", **schema, "properties": _positioned(schema.get("properties", {}))}
    field = {"title": "Data", "position": 0, **{name: rule for name, rule in schema.items() if name != "$defs"}}
    form = {"title": "Input", "type": "object", "properties": {"data": field}, "required": ["data"]}
    return form | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


def plain_text(text: str) -> str:
    """Markdown that shows `text` as it is: a tenant's words are shown to the operator, and link and embed nothing."""
    return _MARKUP.sub(r"\\\g<0>", text)


def data_of(schema: Mapping[str, Any] | None, given: Mapping[str, Any]) -> Any:
    """The data that an answer in Prefect holds."""
    return given.get("data") if _is_wrapped(schema or {}) else dict(given)


def _is_wrapped(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") != "object"


def _positioned(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"title": name, "position": position, **(rules if isinstance(rules, Mapping) else {})}
        for position, (name, rules) in enumerate(properties.items())
    }
