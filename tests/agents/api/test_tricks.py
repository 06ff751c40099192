"""URLs that parsers read in two ways, answers that say two things at once, configs that would write another request."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from agents.api.config import api_problems
from agents.api.executor import ApiExecutor
from agents.api.retrying import retry_after
from agents.egress.policy import EgressPolicy
from agents.errors import AgentError, ConnectionFailed, EgressRefused, HttpStatusFailed, OutputInvalid
from tests.agents.api.conftest import Call
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Server, json_reply, reply

pytestmark = pytest.mark.case(15, 16, 22, 24)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The addresses that a connection was made to."""
    addresses: set[str] = set()
    connect = httpcore2.AnyIOBackend.connect_tcp

    async def noting(backend: Any, host: str, *rest: Any) -> httpcore2.AsyncNetworkStream:
        addresses.add(host)
        return await connect(backend, host, *rest)

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", noting)
    return addresses


READ_IN_TWO_WAYS = [
    "http://127.0.0.2#@127.0.0.1/",
    "http://127.0.0.2?@127.0.0.1/",
    "http://127.0.0.2;@127.0.0.1/",
    "http://127.0.0.1@127.0.0.2/",
    "http://127.0.0.1:80@127.0.0.2/",
    "http://127.0.0.1%40127.0.0.2/",
    "http://127.0.0.2\\@127.0.0.1/",
    "http://127.0.0.1\\.127.0.0.2/",
    "http:\\\\127.0.0.2/",
    "\\\\127.0.0.2/",
    "/\\127.0.0.2/",
    "//127.0.0.2/",
    "///127.0.0.2/",
    "http:/127.0.0.2/",
    "http:127.0.0.2/",
    "ht\ttp://127.0.0.2/",
    "http:/\t/127.0.0.2/",
    "http://127.0.0\t.2/",
    "/\t/127.0.0.2/",
    " http://127.0.0.2/",
    "http://127.0.0.2\t/",
    "HTTP://127.0.0.2/",
    "http://127.2/",
    "http://0x7f.2/",
    "http://127.0.0.2./",
    "http://[::ffff:127.0.0.2]/",
    "http://127.0.0.1.127.0.0.2/",
    "http://127。0。0。2/",
    "javascript://127.0.0.2/",
    "data:text/plain,x",
    "jar:http://127.0.0.2!/",
    "http+unix://%2Frun%2Fdocker.sock/",
]


@pytest.mark.parametrize("target", READ_IN_TWO_WAYS)
async def test_a_redirect_that_can_be_read_in_two_ways_leads_nowhere_else(
    call: Call, server: Server, reached: set[str], target: str
) -> None:
    """Relative ones stay with the server that sent them."""
    server.answers = [json_reply({}, 302, location=target), json_reply("stayed")]
    try:
        assert (await call({"url": server.url()}))["data"] == "stayed"
    except (EgressRefused, ConnectionFailed):
        assert len(server.received) == 1
    assert reached == {"127.0.0.1"}


@pytest.mark.parametrize("url", [target for target in READ_IN_TWO_WAYS if target.lower().startswith("http://")])
async def test_a_url_that_can_be_read_in_two_ways_reaches_nothing(call: Call, reached: set[str], url: str) -> None:
    with pytest.raises(AgentError):
        await call({"url": url})
    assert reached == set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["http://127.0.0.2/", "http://[::1]/", "http://169.254.169.254/", "gopher://127.0.0.1/"]
)
async def test_every_kind_of_redirect_is_checked(
    call: Call, server: Server, reached: set[str], status: int, target: str
) -> None:
    server.answers = [json_reply({}, status, location=target)]
    with pytest.raises(EgressRefused):
        await call({"url": server.url()})
    assert reached == {"127.0.0.1"}


@pytest.mark.parametrize("status", [201, 300, 304, 305, 306])
async def test_a_location_that_is_no_redirect_is_not_followed(call: Call, server: Server, status: int) -> None:
    server.answers = [b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nlocation: /other\r\n\r\n" % status]
    output = await call({"url": server.url(), "expectStatus": status})
    assert (output["status"], len(server.received)) == (status, 1)


@pytest.mark.parametrize(
    ("method", "status", "second"),
    [
        ("POST", 301, "GET"),
        ("HEAD", 301, "HEAD"),
        ("DELETE", 301, "DELETE"),
        ("PATCH", 302, "PATCH"),
        ("HEAD", 303, "HEAD"),
        ("DELETE", 303, "GET"),
        ("POST", 308, "POST"),
    ],
)
async def test_redirects_change_the_method_only_where_browsers_do(
    call: Call, server: Server, method: str, status: int, second: str
) -> None:
    server.answers = [reply(status, location="/next"), reply(200)]
    await call({"method": method, "url": server.url()})
    assert server.received[1].method == second


async def test_a_token_of_oauth2_does_not_follow_to_another_host(
    call: Call, server: Server, other_server: Server
) -> None:
    server.answers = [json_reply({"access_token": "tok-1"}), json_reply({}, 307, location=other_server.url())]
    auth = {"type": "oauth2", "tokenUrl": server.url("/token"), "clientId": "i", "clientSecret": "planted"}
    await call({"url": server.url(), "auth": auth})
    assert server.received[1].headers["authorization"] == "Bearer tok-1"
    assert "authorization" not in other_server.received[0].headers


async def test_an_alternative_service_is_not_taken_up(call: Call, server: Server, other_server: Server) -> None:
    server.answers = [json_reply({}, alt_svc=f'h2="127.0.0.1:{other_server.port}"; ma=3600', refresh="0; url=/x")]
    for _ in range(2):
        await call({"url": server.url()})
    assert (len(server.received), len(other_server.received)) == (2, 0)


async def test_a_retry_looks_the_name_up_anew_and_checks_it(call: Call, reached: set[str]) -> None:
    """Case 17: between two attempts a name may turn to something else."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    executor = ApiExecutor(resolver=rebinding)
    retry = {"maxAttempts": 2, "backoffSeconds": 0}
    with pytest.raises(EgressRefused):
        await call({"url": "http://rebinding.example:9/", "retry": retry}, using=executor)
    await executor.aclose()
    assert (reached, answers) == ({"127.0.0.1"}, [])


async def test_of_several_addresses_the_inner_one_is_not_tried(call: Call, reached: set[str]) -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1", "10.0.0.1", "::1"]

    executor = ApiExecutor(resolver=both)
    with pytest.raises(ConnectionFailed):
        await call({"url": "http://both.example:9/"}, using=executor)
    await executor.aclose()
    assert reached == {"127.0.0.1"}


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login planted password planted\n")
    netrc.chmod(0o600)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("NETRC", str(netrc))


@pytest.mark.usefixtures("proxied")
async def test_proxies_and_passwords_of_the_workers_environment_are_not_used(call: Call, server: Server) -> None:
    assert (await call({"url": server.url()}))["status"] == 200
    assert "authorization" not in server.received[0].headers


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5 hello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: a\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
        b"ICY 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 40_000 + b"\r\n",
    ],
)
async def test_an_answer_that_breaks_the_protocol_is_a_failed_connection(
    call: Call, server: Server, answer: bytes
) -> None:
    async def breaking(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server.answers = [breaking]
    with pytest.raises(ConnectionFailed):
        await call({"url": server.url()})


async def test_what_trailers_say_changes_nothing(call: Call, server: Server) -> None:
    server.answers = [
        CHUNKED
        + b"2\r\n[]\r\n0\r\ncontent-type: application/json\r\nlocation: http://127.0.0.2/\r\nset-cookie: a=b\r\n\r\n"
    ]
    output = await call({"url": server.url(), "responseType": "json"})
    assert (output["data"], set(output["headers"])) == ([], {"transfer-encoding"})


@pytest.mark.parametrize(
    ("body", "data"), [(b'{"a": 1, "a": 2}', {"a": 2}), (b"[12345678901234567890123]", [1.2345678901234568e22])]
)
async def test_json_that_can_be_read_in_two_ways_is_read_as_most_do(
    call: Call, server: Server, body: bytes, data: object
) -> None:
    """The last of two members counts, and numbers beyond 64 bits are floating."""
    server.answers = [reply(200, body, content_type="application/json")]
    assert (await call({"url": server.url()}))["data"] == data


@pytest.mark.parametrize(
    "body", [b"[NaN]", b"[-Infinity]", b"[1e400]", b"'a'", b"// a\n[]", b"\x1f\x8b", b"[0x1]", b"[01]"]
)
async def test_what_only_looks_like_json_is_an_error_of_the_answer(call: Call, server: Server, body: bytes) -> None:
    server.answers = [reply(200, body, content_type="application/json")]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url()})


NONSENSE = [
    "-5",
    "+3",
    "1e9",
    "NaN",
    "inf",
    "0x10",
    "1 2",
    "5,6",
    "٣",
    "\x00",
    "soon",
    "Wed, 99 Foo 2026 00:00:00 GMT",
    "(" * 9999,
]
FAR = ["9" * 400, "Thu, 01 Jan 9999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"]
PAST = ["0", "-0", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"]


@pytest.mark.parametrize("header", [*NONSENSE, *PAST])
def test_a_retry_after_that_means_nothing_or_the_past_is_no_wait(header: str) -> None:
    assert retry_after(header, time.time()) == 0


@pytest.mark.parametrize("header", FAR)
async def test_a_retry_after_of_years_is_not_waited_for(call: Call, server: Server, header: str) -> None:
    server.answers = [reply(503, retry_after=header)]
    with pytest.raises(HttpStatusFailed):
        await call({"url": server.url(), "retry": {"maxAttempts": 3, "maxBackoffSeconds": 3600}})
    assert len(server.received) == 1


URL = "https://api.example/"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"method": "GET / HTTP/1.1\r\nX: y\r\n\r\nDELETE"}, "method"),
        ({"method": "GET\n"}, "method"),
        ({"method": "CONNECT"}, "method"),
        ({"method": "ＧＥＴ"}, "method"),
        ({"headers": {"X: a\r\nY": "b"}}, "headers.X: a\r\nY"),
        ({"headers": {"X\u0131": "b"}}, "headers.X\u0131"),
        ({"headers": {"": "b"}}, "headers."),
        ({"headers": {":authority": "b"}}, "headers.:authority"),
        ({"headers": {"transfer-encoding": "chunked"}}, "headers.transfer-encoding"),
        ({"headers": {"Content-Length ": "0"}}, "headers.Content-Length "),
        ({"headers": {"X": "a\vb"}}, "headers.X"),
        ({"url": "https://api.example/\r\nX: y"}, "url"),
        ({"url": "https://api.example/a b"}, "url"),
        ({"url": "https:\\\\api.example/"}, "url"),
        ({"auth": {"type": "hmac", "secret": "s", "signatureHeader": "X\r\nY"}}, "auth.signatureHeader"),
        ({"auth": {"type": "hmac", "secret": "s", "keyId": "a\r\nY: z"}}, "auth.keyId"),
        ({"auth": {"type": "apiKey", "name": "Host", "value": "x"}}, "auth.name"),
        (
            {"method": "POST", "multipart": [{"name": "a", "value": "b", "contentType": "x\r\nY: z"}]},
            "multipart[0].contentType",
        ),
    ],
)
def test_a_config_cannot_write_another_request(fields: dict[str, Any], path: str) -> None:
    assert path in [problem.path for problem in api_problems({"url": URL, **fields})]


async def test_names_in_multipart_bodies_cannot_begin_a_part(call: Call, server: Server) -> None:
    trick = 'a"; filename="b.sh"\r\nContent-Type: text/x-sh\r\n\r\nevil\r\n--'
    parts = [{"name": trick, "value": "1"}, {"name": "f", "filename": trick, "content": "2"}]
    await call({"method": "POST", "url": server.url(), "multipart": parts})
    [received] = server.received
    boundary = received.headers["content-type"].partition("boundary=")[2].encode()
    assert received.body.count(b"--" + boundary) == 3
    assert received.body.count(b"\r\n\r\n") == 2
    assert b"\r\nContent-Type: text/x-sh" not in received.body
    assert b'filename="b.sh"' not in received.body


async def test_values_in_queries_and_forms_stay_values(call: Call, server: Server) -> None:
    trick = "a&b=c#d\r\nX: y HTTP/1.1"
    await call({"url": server.url("/?own=1"), "query": {"q": trick, trick: "v"}})
    await call({"method": "POST", "url": server.url(), "form": {"q": trick}})
    in_query, in_form = server.received
    assert in_query.query == {"own": "1", "q": trick, trick: "v"}
    assert in_form.body.count(b"=") == 1
    assert "x" not in in_query.headers


async def test_what_one_policy_let_through_is_kept_for_no_other(call: Call, server: Server) -> None:
    """The operator's list may have become shorter, and the connection is still there."""
    wide = EgressPolicy(allow=LOCAL.allow, tenant="t")
    assert (await call({"url": server.url()}, egress=wide))["status"] == 200
    with pytest.raises(EgressRefused):
        await call({"url": server.url()}, egress=EgressPolicy(tenant="t"))
    assert len(server.received) == 1
