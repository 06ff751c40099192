"""What every operation of its kind can answer, beside what its route says."""

from typing import Any

from platform_api.kit.envelope import ERRORS, errors
from platform_api.kit.error_codes import CODES

JsonObject = dict[str, Any]
BASE_PATH = "/api/v1"

REQUEST_ID = "0198c5a2-7c1e-7d30-9f5b-3a1c2e4d5f60"
MOMENT = "2026-01-31T12:00:00.000Z"

_HEADERS: JsonObject = {
    "X-Request-ID": {"description": "What finds the call in logs and runs", "schema": {"type": "string"}},
}
_LIMITS: JsonObject = {
    "RateLimit-Limit": {"description": "Calls that a minute may have", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "Calls left in this minute", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until the minute is over", "schema": {"type": "integer"}},
}
_RETRY_AFTER: JsonObject = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
_ETAG: JsonObject = {"ETag": {"description": 'The version, as `"3"`', "schema": {"type": "string"}}}
_WAITING = (423, 429, 503)


def shared_answers() -> JsonObject:
    """`components.responses`: one for each status of an error."""
    return {_name(int(status)): _error(int(status)) for status in ERRORS}


def declare_answers(path: str, method: str, operation: JsonObject) -> None:
    """Adds what the operation's kind can answer, and sorts by status."""
    responses: JsonObject = operation["responses"]
    responses.pop("422", None)
    for status in errors(*_common(path, method, operation)):
        responses.setdefault(str(status), _reference(int(status)))
    for status, answer in responses.items():
        if _is_standard(int(status), answer):
            responses[status] = _reference(int(status))
        elif status.startswith("2"):
            answer["headers"] = {**_headers(operation, method, status), **answer.get("headers", {})}
    operation["responses"] = dict(sorted(responses.items()))


def _common(path: str, method: str, operation: JsonObject) -> set[int]:
    if not path.startswith(BASE_PATH):
        return {500}
    statuses = {400, 500, 503}
    in_auth = path.startswith(f"{BASE_PATH}/auth/")
    if "security" in operation:
        statuses |= {401, 403}
    if "security" in operation or in_auth:
        statuses |= {429}
    if method == "post" and not in_auth:
        statuses |= {409}  # an `Idempotency-Key` that stands for another request
    if "requestBody" in operation:
        statuses |= {408, 413, 415}
    if "{" in path:
        statuses |= {404}
    return statuses


def _headers(operation: JsonObject, method: str, status: str) -> JsonObject:
    headers = dict(_HEADERS)
    if "security" in operation:
        headers |= _LIMITS
    takes_version = any(each.get("name", "").lower() == "if-match" for each in operation.get("parameters", []))
    if takes_version and status != "204":
        headers |= _ETAG
    return headers


def _is_standard(status: int, answer: JsonObject) -> bool:
    return status in ERRORS and answer.get("description") == ERRORS[status]["description"]


def _reference(status: int) -> JsonObject:
    return {"$ref": f"#/components/responses/{_name(status)}"}


def _name(status: int) -> str:
    return f"Error{status}"


def _error(status: int) -> JsonObject:
    details = [{"path": "name", "code": "REQUIRED", "message": "Field required"}] if status == 400 else []
    error = {"code": CODES[status][0], "message": str(ERRORS[status]["description"]), "details": details}
    example = {"success": False, "error": error, "meta": {"timestamp": MOMENT, "requestId": REQUEST_ID}}
    schema = {"$ref": "#/components/schemas/ErrorEnvelope"}
    return {
        "description": ERRORS[status]["description"],
        "headers": {**_HEADERS, **(_RETRY_AFTER if status in _WAITING else {})},
        "content": {"application/json": {"schema": schema, "example": example}},
    }
