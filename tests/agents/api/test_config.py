from typing import Any

import pytest

from agents.api.config import api_problems

URL = "https://api.example/v1"


def found(config: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in api_problems(config)]


@pytest.mark.parametrize(
    "config",
    [
        {"url": URL},
        {"url": "{{ inputs.url }}", "method": "{{ inputs.method }}", "timeoutSeconds": "{{ inputs.t }}"},
        {"url": "https://{{ inputs.host }}/x y", "headers": {"X": "{{ secrets.A }}"}, "extract": "{{ inputs.path }}"},
        {"url": URL, "retry": "{{ inputs.retry }}", "expectStatus": ["{{ inputs.status }}", 200]},
        {"url": URL, "auth": {"type": "{{ inputs.kind }}"}, "pagination": {"type": "page", "pageSize": "{{ n }}"}},
        {
            "url": URL,
            "method": "POST",
            "json": {"a": "{{ b }}"},
            "auth": {"type": "bearer", "token": "{{ secrets.T }}"},
        },
    ],
)
def test_sound_configs_and_open_templates_have_no_problems(config: dict[str, Any]) -> None:
    assert api_problems(config) == []


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"url": "ftp://x"}, "url", "BAD_CONFIG"),
        ({"url": "http://a b"}, "url", "BAD_CONFIG"),
        ({"url": "http://a\r\nX: y"}, "url", "BAD_CONFIG"),
        ({"url": 5}, "url", "BAD_CONFIG"),
        ({"method": "TRACE"}, "method", "BAD_CONFIG"),
        ({"nope": 1}, "nope", "UNKNOWN_FIELD"),
        ({"max_response_bytes": 1, "maxResponseBytes": 0}, "maxResponseBytes", "BAD_CONFIG"),
        ({"headers": {"X-A": "a\r\nb"}}, "headers.X-A", "BAD_CONFIG"),
        ({"headers": {"X A": "a"}}, "headers.X A", "BAD_CONFIG"),
        ({"headers": {"X\r\nA": "a"}}, "headers.X\r\nA", "BAD_CONFIG"),
        ({"headers": {"Host": "a"}}, "headers.Host", "BAD_CONFIG"),
        ({"headers": {"Content-Length": 5}}, "headers.Content-Length", "BAD_CONFIG"),
        ({"query": {"a": {"b": 1}}}, "query.a", "BAD_CONFIG"),
        ({"auth": {"token": "x"}}, "auth.type", "MISSING_FIELD"),
        ({"auth": {"type": "digest"}}, "auth.type", "BAD_CONFIG"),
        ({"auth": {"type": "bearer"}}, "auth.token", "MISSING_FIELD"),
        ({"auth": {"type": "bearer", "token": "a", "user": 1}}, "auth.user", "UNKNOWN_FIELD"),
        ({"auth": {"type": "apiKey", "name": "a b", "value": "v"}}, "auth.name", "BAD_CONFIG"),
        ({"auth": {"type": "apiKey", "name": "a", "value": "v", "in": "body"}}, "auth.in", "BAD_CONFIG"),
        (
            {"auth": {"type": "oauth2", "tokenUrl": "x", "clientId": "a", "clientSecret": "b"}},
            "auth.tokenUrl",
            "BAD_CONFIG",
        ),
        ({"retry": {"maxAttempts": 21}}, "retry.maxAttempts", "BAD_CONFIG"),
        ({"retry": {"tries": 2}}, "retry.tries", "UNKNOWN_FIELD"),
        ({"expectStatus": [200, 999]}, "expectStatus[1]", "BAD_CONFIG"),
        ({"expectStatus": []}, "expectStatus", "BAD_CONFIG"),
        ({"extract": "a[", "responseType": "json"}, "extract", "BAD_CONFIG"),
        ({"extract": "(" * 4000}, "extract", "BAD_CONFIG"),
        ({"extract": "a" * 5000}, "extract", "BAD_CONFIG"),
        ({"pagination": {"type": "cursor"}}, "pagination.cursorPath", "MISSING_FIELD"),
        ({"pagination": {"type": "page", "maxPages": 0}}, "pagination.maxPages", "BAD_CONFIG"),
        ({"method": "POST", "multipart": [{"value": "x"}]}, "multipart[0].name", "MISSING_FIELD"),
        ({"method": "POST", "multipart": [{"name": "x"}]}, "multipart[0]", "BAD_CONFIG"),
        ({"method": "POST", "json": 1, "body": "x"}, "", "BAD_CONFIG"),
        ({"method": "GET", "json": None}, "", "BAD_CONFIG"),
        ({"timeoutSeconds": 0}, "timeoutSeconds", "BAD_CONFIG"),
        ({"responseType": "xml"}, "responseType", "BAD_CONFIG"),
    ],
)
def test_each_fault_is_found_at_its_place(fields: dict[str, Any], path: str, code: str) -> None:
    assert (path, code) in found({"url": URL, **fields})


def test_all_problems_come_at_once() -> None:
    config = {"method": "X", "nope": 1, "retry": {"maxAttempts": 0}}
    assert {path for path, _ in found(config)} == {"url", "method", "nope", "retry.maxAttempts"}


def test_a_value_that_fits_no_form_is_one_problem() -> None:
    assert found({"url": URL, "expectStatus": ["9xx"]}) == [("expectStatus[0]", "BAD_CONFIG")]


def test_messages_do_not_quote_values() -> None:
    config = {"url": "planted", "headers": {"A": "planted\n"}, "auth": {"type": "bearer", "token": "planted\n"}}
    problems = api_problems(config)
    assert len(problems) == 3
    assert not any("planted" in problem.message for problem in problems)
