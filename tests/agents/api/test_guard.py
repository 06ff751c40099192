"""Cases 15-17 of the security specification: addresses in every notation, redirects into them, rebinding."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agents.api.addresses import parse_host, refusal
from agents.api.executor import ApiExecutor
from agents.api.guard import Guard, GuardedTransport
from agents.api.request import parse_url
from agents.context import EgressPolicy
from agents.errors import ConnectionFailed, EgressRefused
from tests.agents.api.conftest import LOCAL, Call
from tests.agents.api.http_server import Server, http_server, json_reply

pytestmark = pytest.mark.case(15, 16, 17)

NOTHING = EgressPolicy()


class Resolver:
    """Answers with one list of addresses after another, and counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0)


class Network(httpcore.AsyncNetworkBackend):
    """Notes where a connection would go."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.reached.append(host)
        raise httpcore.ConnectError("nothing there")


LOOPBACKS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "017700000001",
    "127.255.255.254",
    "127.0.0.1.",
    "2130706433.",
    "0",
    "0.0.0.0",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::ffff:0:127.0.0.1]",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "some.localhost",
    "127。0。0。1",
]
INTERNAL = [
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.1.1",
    "2852039166",
    "0xa9fea9fe",
    "168.63.129.16",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "192.0.2.1",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001:0:7f00:1::]",
    "[64:ff9b::a9fe:a9fe]",
    "[::ffff:8.8.8.8]",
]


@pytest.mark.parametrize("host", LOOPBACKS + INTERNAL)
async def test_inner_addresses_are_refused_in_every_notation_without_a_look_up(host: str) -> None:
    resolver, network = Resolver(), Network()
    async with GuardedTransport(NOTHING, resolver=resolver, network=network) as transport:
        with pytest.raises(EgressRefused) as caught:
            await transport.handle_async_request(httpx.Request("GET", f"http://{host}:80/"))
    assert "EGRESS_ALLOW" in caught.value.message
    assert (resolver.asked, network.reached) == ([], [])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.com/",
        "unix:///var/run/docker.sock",
        "ftp://example.com/",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://256.1.1.1/",
        "http://0177.0.0.1/",
        "http://1.2.3.4.5/",
        "http://0x7g.1/",
        "http://example.com:0/",
        "http://example.com:70000/",
    ],
)
async def test_other_schemes_user_names_and_nonsense_are_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        Guard(NOTHING, Resolver()).check_url(parse_url(url))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "172.32.0.1"])
def test_public_addresses_are_not_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize("host", ["example.com", "a-1.example", "1and1.com", "x0x7f", "deadbeef"])
def test_names_are_not_taken_for_addresses(host: str) -> None:
    assert parse_host(host) is None


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["10.1.1.1", "::1"], ["169.254.169.254"], ["::ffff:10.0.0.1"]])
async def test_a_name_that_resolves_to_an_inner_address_is_refused(answer: list[str]) -> None:
    with pytest.raises(EgressRefused) as caught:
        await Guard(NOTHING, Resolver(answer)).addresses("inner.example", 80)
    refused = str(ipaddress.ip_address(answer[0]))
    assert caught.value.details["address"] == refused
    assert refused in caught.value.message


async def test_of_mixed_addresses_only_the_public_ones_are_used() -> None:
    guard = Guard(NOTHING, Resolver(["10.0.0.1", "8.8.8.8"]))
    assert await guard.addresses("mixed.example", 80) == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("allow", "host", "answer"),
    [
        ("10.0.0.0/8", "a.example", "10.2.3.4"),
        ("10.2.3.4", "a.example", "10.2.3.4"),
        ("Inner.Example.", "inner.example", "10.2.3.4"),
        ("inner.example", "INNER.example.", "127.0.0.1"),
        ("fd00::/8", "a.example", "fd00::1"),
        ("10.0.0.0/8", "a.example", "::ffff:10.0.0.1"),
    ],
)
async def test_the_operator_can_allow_names_and_networks(allow: str, host: str, answer: str) -> None:
    assert await Guard(EgressPolicy(allow=(allow,)), Resolver([answer])).addresses(host, 80)


@pytest.mark.parametrize(
    ("allow", "host", "answer"),
    [("inner.example", "sub.inner.example", "10.0.0.1"), ("10.0.0.0/24", "a.example", "10.0.1.1")],
)
async def test_what_is_allowed_reaches_no_further(allow: str, host: str, answer: str) -> None:
    with pytest.raises(EgressRefused):
        await Guard(EgressPolicy(allow=(allow,)), Resolver([answer])).addresses(host, 80)


async def test_rebinding_a_second_answer_is_never_asked_for() -> None:
    resolver, network = Resolver(["93.184.215.14"], ["127.0.0.1"]), Network()
    async with GuardedTransport(NOTHING, resolver=resolver, network=network) as transport:
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("GET", "http://rebinding.example/"))
    assert resolver.asked == ["rebinding.example"]
    assert network.reached == ["93.184.215.14"]


async def test_rebinding_between_requests_is_refused() -> None:
    resolver, network = Resolver(["93.184.215.14"], ["127.0.0.1"]), Network()
    async with GuardedTransport(NOTHING, resolver=resolver, network=network) as transport:
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("GET", "http://rebinding.example/"))
        with pytest.raises(EgressRefused):
            await transport.handle_async_request(httpx.Request("GET", "http://rebinding.example/"))
    assert network.reached == ["93.184.215.14"]


async def test_the_connection_goes_to_the_pinned_address_and_the_name_stays(server: Server) -> None:
    resolver = Resolver(["127.0.0.1"])
    async with GuardedTransport(LOCAL, resolver=resolver) as transport:
        response = await transport.handle_async_request(httpx.Request("GET", server.url(host="pinned.example")))
        await response.aread()
        await response.aclose()
    assert server.received[0].headers["host"] == f"pinned.example:{server.port}"
    assert resolver.asked == ["pinned.example"]


async def test_a_failing_look_up_is_a_connection_error(call: Call, executor: ApiExecutor) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    failing = ApiExecutor(resolver=fail)
    with pytest.raises(ConnectionFailed):
        await call({"url": "http://nowhere.example/"}, using=failing)
    with pytest.raises(ConnectionFailed):
        await call({"url": f"http://{'a' * 70}.example/"}, using=executor)
    await failing.aclose()


async def test_one_policys_connections_are_not_used_under_another(call: Call, server: Server) -> None:
    assert (await call({"url": server.url()}))["status"] == 200
    with pytest.raises(EgressRefused):
        await call({"url": server.url()}, egress=NOTHING)


def redirect_to(target: str, status: int = 302) -> bytes:
    return json_reply({}, status, location=target)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://127.0.0.2/", "file:///etc/passwd", "//0/"],
)
async def test_each_redirect_is_checked(call: Call, server: Server, target: str) -> None:
    server.answers = [redirect_to(target)]
    with pytest.raises(EgressRefused):
        await call({"url": server.url()})
    assert len(server.received) == 1


@pytest.mark.parametrize("target", ["http://[", "http://a b\x7f/", "http://u:p@127.0.0.1/", "http://\u0000/"])
async def test_a_redirect_that_cannot_be_understood_is_refused(call: Call, server: Server, target: str) -> None:
    server.answers = [redirect_to(target)]
    with pytest.raises((EgressRefused, ConnectionFailed)):
        await call({"url": server.url()})
    assert len(server.received) == 1


async def test_five_redirects_are_followed_and_no_more(call: Call, server: Server) -> None:
    server.answers = [*[redirect_to("/next")] * 5, json_reply("there")]
    assert (await call({"url": server.url()}))["data"] == "there"
    server.answers = [redirect_to("/next")]
    server.received.clear()
    with pytest.raises(EgressRefused):
        await call({"url": server.url()})
    assert len(server.received) == 6


@pytest.mark.parametrize(
    ("method", "status", "second"),
    [("POST", 302, "GET"), ("POST", 303, "GET"), ("PUT", 303, "GET"), ("POST", 307, "POST"), ("PUT", 302, "PUT")],
)
async def test_redirects_change_the_method_as_in_browsers(
    call: Call, server: Server, method: str, status: int, second: str
) -> None:
    server.answers = [redirect_to("/next", status), json_reply({})]
    await call({"method": method, "url": server.url(), "json": {"a": 1}})
    assert server.received[1].method == second
    assert server.received[1].body == (b"" if second == "GET" else b'{"a":1}')


AUTHS: list[dict[str, Any]] = [
    {"type": "bearer", "token": "planted-secret"},
    {"type": "basic", "username": "u", "password": "planted-secret"},
    {"type": "apiKey", "name": "X-Custom", "value": "planted-secret"},
    {"type": "apiKey", "name": "key", "value": "planted-secret", "in": "query"},
    {"type": "hmac", "secret": "planted-secret", "keyId": "k1"},
]
OWN_HEADERS = {"Cookie": "a=planted-secret", "X-Auth-Token": "planted-secret", "Proxy-Authorization": "planted-secret"}


@pytest.mark.parametrize("auth", AUTHS)
async def test_credentials_do_not_follow_to_another_host(
    call: Call, server: Server, other_server: Server, auth: dict[str, Any]
) -> None:
    server.answers = [redirect_to(other_server.url("/taken"), 307)]
    await call({"method": "POST", "url": server.url(), "auth": auth, "headers": OWN_HEADERS})
    [first], [second] = server.received, other_server.received
    credentials = {"authorization", "cookie", "x-auth-token", "proxy-authorization", "x-custom", "x-signature"}
    assert credentials & set(first.headers)
    assert not credentials & set(second.headers)
    assert "planted-secret" not in second.target


async def test_credentials_stay_away_when_the_other_host_sends_back(
    call: Call, server: Server, other_server: Server
) -> None:
    server.answers = [redirect_to(other_server.url()), json_reply({})]
    other_server.answers = [redirect_to(server.url("/back"))]
    await call({"url": server.url(), "auth": AUTHS[0]})
    assert "authorization" not in server.received[1].headers


@pytest.mark.parametrize("auth", AUTHS)
async def test_credentials_stay_within_the_host(call: Call, server: Server, auth: dict[str, Any]) -> None:
    server.answers = [redirect_to("/next"), json_reply({})]
    await call({"url": server.url(), "auth": auth})
    first, second = server.received
    assert first.headers.get("authorization") == second.headers.get("authorization")
    assert first.query.get("key") == second.query.get("key")
    if auth["type"] == "hmac":
        assert first.headers["x-signature"] != second.headers["x-signature"]


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's TLS settings around a fresh certificate for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, secret)
    return server, ssl.create_default_context(cafile=str(chain))


async def test_tls_is_checked_against_the_name_not_the_address(tmp_path: Path) -> None:
    server_tls, client_tls = await asyncio.to_thread(certificate, tmp_path, "right.example")

    async def to_loopback(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with (
        http_server(server_tls) as server,
        GuardedTransport(LOCAL, resolver=to_loopback, tls=client_tls) as transport,
    ):
        response = await transport.handle_async_request(httpx.Request("GET", server.url(host="right.example")))
        await response.aread()
        await response.aclose()
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("GET", server.url(host="wrong.example")))
    assert server.server_names == ["right.example", "wrong.example"]


@pytest.mark.parametrize(("auth", "refused"), [(AUTHS[0], True), (None, False)])
async def test_credentials_are_not_taken_from_https_to_http(
    call: Call, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: Any, refused: bool
) -> None:
    server_tls, client_tls = await asyncio.to_thread(certificate, tmp_path, "localhost")
    monkeypatch.setattr("agents.api.guard._tls_context", lambda: client_tls)
    async with http_server(server_tls) as secure:
        secure.answers = [redirect_to(server.url())]
        executor = ApiExecutor()
        with pytest.raises(EgressRefused, match="from https to http") if refused else nullcontext():
            await call({"url": secure.url(host="localhost"), "auth": auth}, using=executor)
        await executor.aclose()
    assert bool(server.received) is not refused
