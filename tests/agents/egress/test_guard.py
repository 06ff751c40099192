"""Cases 15-17 of the security specification: addresses in every notation, redirects into them, rebinding."""

import asyncio
import ipaddress
from collections.abc import Iterable
from pathlib import Path

import httpcore2
import httpx2
import pytest

from agents.egress.addresses import parse_host, refusal
from agents.egress.guard import Guard
from agents.egress.outgoing import parse_url
from agents.egress.policy import EgressPolicy
from agents.egress.transport import GuardedTransport
from agents.errors import ConnectionFailed, EgressRefused
from tests.agents.certificates import certificate
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Server, http_server

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


class Network(httpcore2.AsyncNetworkBackend):
    """Notes where a connection would go."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.reached.append(host)
        raise httpcore2.ConnectError("nothing there")


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
    "00000177.1",
    "127.0.0.1..",
    "localhost..",
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
    "[64:ff9b:1::1]",
    "[2002::]",
    "[3fff::1]",
    "[4000::1]",
    "[5f00::1]",
    "[100::1]",
]


@pytest.mark.parametrize("host", LOOPBACKS + INTERNAL)
async def test_inner_addresses_are_refused_in_every_notation_without_a_look_up(host: str) -> None:
    resolver, network = Resolver(), Network()
    async with GuardedTransport(NOTHING, resolver=resolver, network=network) as transport:
        with pytest.raises(EgressRefused) as caught:
            await transport.handle_async_request(httpx2.Request("GET", f"http://{host}:80/"))
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
        "http://127.0.0.%31/",
        "http://%6c%6fcalhost/",
        "http://127.0.0.1%2eexample.com/",
        "http://127.0.0.1%00.example.com/",
        "http://a%0d%0aHost:b/",
        "http://ⓛocalhost/",
        "http://loc\u00adalhost/",
        "http://①②⑦.⓪.⓪.①/",
        "http://١٢٧.٠.٠.١/",
        "http://127.0.0.1\u200b/",
        "http://127.0.0.1,8.8.8.8/",
        "http://[fe80::1%25eth0]/",
        "http://[2606:4700:4700::1111%25lo]/",
        "http://[::1].example/",
        "http://[v1.a]/",
        "http://../",
        "http://./",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 130}example/",
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


@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["10.1.1.1", "::1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"], ["::1%1"]],
)
async def test_a_name_that_resolves_to_an_inner_address_is_refused(answer: list[str]) -> None:
    """The message does not say which: tenants learn nothing about the inner network's names."""
    with pytest.raises(EgressRefused) as caught:
        await Guard(NOTHING, Resolver(answer)).addresses("inner.example", 80)
    assert "inner.example" in caught.value.message
    assert not any(address in f"{caught.value.message} {caught.value.details}" for address in answer)


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
        with pytest.raises(httpx2.ConnectError):
            await transport.handle_async_request(httpx2.Request("GET", "http://rebinding.example/"))
    assert resolver.asked == ["rebinding.example"]
    assert network.reached == ["93.184.215.14"]


async def test_rebinding_between_requests_is_refused() -> None:
    resolver, network = Resolver(["93.184.215.14"], ["127.0.0.1"]), Network()
    async with GuardedTransport(NOTHING, resolver=resolver, network=network) as transport:
        with pytest.raises(httpx2.ConnectError):
            await transport.handle_async_request(httpx2.Request("GET", "http://rebinding.example/"))
        with pytest.raises(EgressRefused):
            await transport.handle_async_request(httpx2.Request("GET", "http://rebinding.example/"))
    assert network.reached == ["93.184.215.14"]


async def test_the_connection_goes_to_the_pinned_address_and_the_name_stays(server: Server) -> None:
    resolver = Resolver(["127.0.0.1"])
    async with GuardedTransport(LOCAL, resolver=resolver) as transport:
        response = await transport.handle_async_request(httpx2.Request("GET", server.url(host="pinned.example")))
        await response.aread()
        await response.aclose()
    assert server.received[0].headers["host"] == f"pinned.example:{server.port}"
    assert resolver.asked == ["pinned.example"]


async def test_tls_is_checked_against_the_name_not_the_address(tmp_path: Path) -> None:
    server_tls, client_tls = await asyncio.to_thread(certificate, tmp_path, "right.example")

    async def to_loopback(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with (
        http_server(server_tls) as server,
        GuardedTransport(LOCAL, resolver=to_loopback, tls=client_tls) as transport,
    ):
        response = await transport.handle_async_request(httpx2.Request("GET", server.url(host="right.example")))
        await response.aread()
        await response.aclose()
        with pytest.raises(httpx2.ConnectError):
            await transport.handle_async_request(httpx2.Request("GET", server.url(host="wrong.example")))
    assert server.server_names == ["right.example", "wrong.example"]


@pytest.mark.parametrize("public", ["8.8.8.8", "2606:4700:4700::1111"])
async def test_a_library_may_be_given_a_host_with_public_addresses_only(public: str) -> None:
    assert await Guard(NOTHING, Resolver([public])).check_host("db.example", 5432) == [public]
    with pytest.raises(EgressRefused):
        await Guard(NOTHING, Resolver([public, "10.0.0.1"])).check_host("db.example", 5432)
    allowed = EgressPolicy(allow=("10.0.0.0/8",))
    assert await Guard(allowed, Resolver([public, "10.0.0.1"])).check_host("db.example", 5432) == [public, "10.0.0.1"]


@pytest.mark.parametrize(
    "host", ["127.1", "localhost", "[::1]", "0x7f000001", "db.example/x", "a@b", "a,b", "/tmp", ""]
)
async def test_a_library_is_given_no_inner_address_and_nothing_that_is_no_host(host: str) -> None:
    with pytest.raises(EgressRefused):
        await Guard(NOTHING, Resolver(["8.8.8.8"])).check_host(host, 5432)


async def test_a_library_is_given_no_name_that_cannot_be_resolved() -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(ConnectionFailed):
        await Guard(NOTHING, fail).check_host("nowhere.example", 5432)


@pytest.mark.parametrize("endpoint", ["https://s3.example", "http://s3.example:9000/a", "https://[2606:4700::1]:9000"])
async def test_a_library_may_be_given_the_endpoint_of_a_public_service(endpoint: str) -> None:
    assert await Guard(NOTHING, Resolver(["8.8.8.8"])).check_endpoint(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9000",
        "http://localhost:9000",
        "http://[::ffff:169.254.169.254]",
        "https://user:password@s3.example",
        "https://s3.example\\@127.0.0.1",
        "https://s3.example#@127.0.0.1",
        "https://s3.example?x=@127.0.0.1",
        "https://s3.example\t.example",
        "https://s3.example:0",
        "https://s3.example:99999",
        "s3://bucket",
        "file:///etc",
        "//s3.example",
        "s3.example",
        "",
    ],
)
async def test_a_library_is_given_no_endpoint_that_parsers_may_read_in_two_ways(endpoint: str) -> None:
    with pytest.raises(EgressRefused):
        await Guard(NOTHING, Resolver(["8.8.8.8"])).check_endpoint(endpoint)
