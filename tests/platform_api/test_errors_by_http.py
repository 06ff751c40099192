"""Every error of every kind has the one shape, and leaks nothing. Case 24 (content types), case 25 (sizes)."""

import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from flows.errors import PrefectUnavailable
from platform_api.access.dependencies import PublicScope
from platform_api.kit.strict_json import MAX_DEPTH
from tests.fixtures.http import ORIGIN, error_of, register

LOGIN = "/api/v1/auth/login"
ID = "gen_random_uuid()"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def broken(app: FastAPI) -> FastAPI:
    """The application with a few routes that fail, each in its way."""

    async def divides() -> None:
        raise RuntimeError("the secret is hunter2")

    async def prefect() -> None:
        raise PrefectUnavailable("http://prefect.internal gives no answer")

    async def statement(scope: PublicScope, sql: str) -> None:
        await scope.session.execute(text(sql))

    app.add_api_route("/broken/unhandled", divides)
    app.add_api_route("/broken/prefect", prefect)
    app.add_api_route("/broken/sql", statement)
    return app


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        ["/", "/nothing", "/api/v1/nothing", "/api/v1/users/me/", "/API/V1/users/me", "//health", "/x/health", "/%00"],
    )
    async def test_an_unknown_path(self, client: httpx.AsyncClient, path: str) -> None:
        assert error_of(await client.get(path), 404, "NOT_FOUND")

    async def test_a_wrong_method_names_every_right_one(self, client: httpx.AsyncClient) -> None:
        answer = await client.delete("/api/v1/users/me")
        error_of(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["Allow"] == "GET, HEAD, PATCH"

    async def test_head_where_there_is_no_get(self, client: httpx.AsyncClient) -> None:
        answer = await client.head(LOGIN)
        assert (answer.status_code, answer.headers["Allow"], answer.content) == (405, "POST", b"")

    async def test_an_unknown_query_parameter(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        answer = await client.get("/api/v1/users/me?fields=email", headers=member.headers)
        error = error_of(answer, 400, "VALIDATION_ERROR")
        assert [(each["path"], each["code"]) for each in error["details"]] == [("fields", "UNKNOWN_FIELD")]

    @pytest.mark.case(19)
    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("page=0", "page"),
            ("page=x", "page"),
            ("page=99999999999999999999", "page"),
            ("pageSize=101", "pageSize"),
            ("sortBy=password_hash", "sortBy"),
            ("sortBy=createdAt;drop table users", "sortBy"),
            ("sortOrder=up", "sortOrder"),
            ("userId=1", "userId"),
            ("from=yesterday", "from"),
        ],
    )
    async def test_a_bad_query_value_names_its_place(self, client: httpx.AsyncClient, query: str, path: str) -> None:
        member = await register(client)
        answer = await client.get(f"/api/v1/audit-logs?{query}", headers=member.headers)
        assert [each["path"] for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]] == [path]

    async def test_a_nul_in_a_query_is_no_500(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        answer = await client.get("/api/v1/audit-logs?action=a%00b", headers=member.headers)
        assert error_of(answer, 400, "VALIDATION_ERROR")


class TestBodies:
    @pytest.mark.case(24, 26)
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", "JSON_INVALID"),
            (b"", None),
            (b"\xff\xfe", "INVALID_UTF8"),
            ('{"email": "x"}'.encode("utf-16"), "INVALID_UTF8"),
            (b'{"email": NaN}', "JSON_UNACCEPTABLE"),
            (b'{"email": -Infinity}', "JSON_UNACCEPTABLE"),
            (b'{"email": 1e400}', "JSON_UNACCEPTABLE"),
            (b'{"email": 9223372036854775808}', "JSON_UNACCEPTABLE"),
            (b'{"email": ' + b"9" * 5000 + b"}", "JSON_UNACCEPTABLE"),
            (b'{"email": "a", "email": "b"}', "JSON_UNACCEPTABLE"),
            (rb'{"email": "\u0000"}', "JSON_UNACCEPTABLE"),
            (rb'{"email": "\ud800"}', "JSON_UNACCEPTABLE"),
            (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "JSON_TOO_DEEP"),
            (b"[" * 100_000, "JSON_TOO_DEEP"),
            (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "JSON_TOO_DEEP"),
        ],
    )
    async def test_json_that_cannot_be_taken(self, client: httpx.AsyncClient, body: bytes, code: str | None) -> None:
        error = error_of(await client.post(LOGIN, content=body, headers=JSON), 400, "VALIDATION_ERROR")
        if code is not None:
            assert [each["code"] for each in error["details"]] == [code]

    async def test_missing_and_unknown_fields_are_told_at_once(self, client: httpx.AsyncClient) -> None:
        error = error_of(await client.post(LOGIN, json={"user": "x"}), 400, "VALIDATION_ERROR")
        assert {(each["path"], each["code"]) for each in error["details"]} == {
            ("email", "REQUIRED"),
            ("password", "REQUIRED"),
            ("user", "UNKNOWN_FIELD"),
        }

    @pytest.mark.parametrize("body", [[], "text", 1, None, True])
    async def test_json_that_is_no_object(self, client: httpx.AsyncClient, body: object) -> None:
        assert error_of(await client.post(LOGIN, content=json.dumps(body), headers=JSON), 400, "VALIDATION_ERROR")

    async def test_a_rejected_value_is_not_repeated(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(LOGIN, json={"email": "a@example.com", "password": {"secret": "hunter2"}})
        error_of(answer, 400, "VALIDATION_ERROR")
        assert "hunter2" not in answer.text

    @pytest.mark.case(25)
    async def test_an_announced_size_over_the_limit(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(LOGIN, content=b" " * 1_048_577, headers=JSON)
        assert error_of(answer, 413, "PAYLOAD_TOO_LARGE")

    @pytest.mark.case(25)
    async def test_a_size_over_the_limit_that_was_not_announced(self, client: httpx.AsyncClient) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65_536
                yield b" " * 65_536

        error_of(await client.post(LOGIN, content=endless(), headers=JSON), 413, "PAYLOAD_TOO_LARGE")
        assert sent <= 1_048_576 + 2 * 65_536

    async def test_a_body_in_chunks_is_read_like_any_other(self, client: httpx.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for part in (b'{"email": "nobody@exam', b'ple.com", "pass', b'word": "x"}'):
                yield part

        assert error_of(await client.post(LOGIN, content=chunks(), headers=JSON), 401, "INVALID_CREDENTIALS")

    @pytest.mark.case(24)
    @pytest.mark.parametrize(
        "content_type",
        [
            *("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""),
            *("application/jsonx", "application/json; charset=utf-16", "application/xml"),
        ],
    )
    async def test_anything_but_json(self, client: httpx.AsyncClient, content_type: str) -> None:
        answer = await client.post(LOGIN, content=b'{"email": "x"}', headers={"Content-Type": content_type})
        assert error_of(answer, 415, "UNSUPPORTED_MEDIA_TYPE")

    @pytest.mark.case(25)
    async def test_a_compressed_body(self, client: httpx.AsyncClient) -> None:
        headers = {**JSON, "Content-Encoding": "gzip"}
        answer = await client.post(LOGIN, content=gzip.compress(b"{}"), headers=headers)
        assert error_of(answer, 415, "UNSUPPORTED_MEDIA_TYPE")

    async def test_json_with_its_charset_is_fine(self, client: httpx.AsyncClient) -> None:
        body = json.dumps({"email": "nobody@example.com", "password": "\U0001f511 x"}).encode()
        answer = await client.post(LOGIN, content=body, headers={"Content-Type": 'application/json; charset="UTF-8"'})
        assert error_of(answer, 401, "INVALID_CREDENTIALS")


class TestFailures:
    async def test_an_unhandled_exception_leaks_nothing(self, broken: FastAPI, client: httpx.AsyncClient) -> None:
        answer = await client.get("/broken/unhandled")
        error_of(answer, 500, "INTERNAL_ERROR")
        assert "hunter2" not in answer.text
        assert "RuntimeError" not in answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_prefect_away(self, broken: FastAPI, client: httpx.AsyncClient) -> None:
        answer = await client.get("/broken/prefect")
        error_of(answer, 503, "SERVICE_UNAVAILABLE")
        assert "prefect.internal" not in answer.text
        assert int(answer.headers["Retry-After"]) > 0

    @pytest.mark.parametrize(
        ("sql", "status", "code"),
        [
            (
                f"insert into tenants (id, slug, name) select {ID}, 's', 'n' from generate_series(1, 2)",
                409,
                "CONFLICT",
            ),
            (f"insert into memberships (id, tenant_id, user_id) select {ID}, {ID}, {ID}", 409, "CONFLICT"),
            ("insert into tenants (id) values (gen_random_uuid())", 500, "INTERNAL_ERROR"),
            ("select 1/0", 400, "VALIDATION_ERROR"),
            ("select nothing from nowhere", 500, "INTERNAL_ERROR"),
            ("set local statement_timeout = 1; select pg_sleep(5)", 503, "SERVICE_UNAVAILABLE"),
            ("select pg_terminate_backend(pg_backend_pid())", 503, "SERVICE_UNAVAILABLE"),
        ],
    )
    async def test_what_the_database_refuses(
        self, broken: FastAPI, client: httpx.AsyncClient, sql: str, status: int, code: str
    ) -> None:
        answer = await client.get("/broken/sql", params={"sql": sql})
        error_of(answer, status, code)
        assert "insert into" not in answer.text
        assert "nowhere" not in answer.text


class TestRequestId:
    async def test_a_harmless_one_is_echoed(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/nothing", headers={"X-Request-ID": "front-end:1234.a_b"})
        assert answer.headers["X-Request-ID"] == "front-end:1234.a_b"
        assert answer.json()["meta"]["requestId"] == "front-end:1234.a_b"

    @pytest.mark.parametrize("offered", ["short", "x" * 129, "has space in it", "new\\nline<script>", "ünïcödé-ïd"])
    async def test_any_other_is_replaced(self, client: httpx.AsyncClient, offered: str) -> None:
        answer = await client.get("/nothing", headers={"X-Request-ID": offered.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.headers["X-Request-ID"] != offered
        assert len(answer.headers["X-Request-ID"]) == 36

    async def test_each_request_has_its_own(self, client: httpx.AsyncClient) -> None:
        assert len({(await client.get("/nothing")).headers["X-Request-ID"] for _ in range(3)}) == 3


class TestHeaders:
    async def test_browsers_are_told_to_trust_nothing(self, client: httpx.AsyncClient) -> None:
        headers = (await client.get("/nothing")).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "Strict-Transport-Security" not in headers

    async def test_https_is_kept(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("https://api.example.com/nothing")
        assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]

    async def test_the_front_end_may_call(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/nothing", headers={"Origin": ORIGIN})
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}
        preflight = await client.options("/api/v1/users/me", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN

    @pytest.mark.case(10)
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example"])
    async def test_no_other_origin_may(self, client: httpx.AsyncClient, origin: str) -> None:
        answer = await client.get("/nothing", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
        asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
        preflight = await client.options("/api/v1/users/me", headers=asked)
        error_of(preflight, 400, "VALIDATION_ERROR")
        assert "Access-Control-Allow-Origin" not in preflight.headers

    async def test_long_answers_are_compressed_when_asked(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/v1/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        short = await client.get("/nothing", headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in short.headers
