"""What a program with a network reaches, and what it does not."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.code import machine
from agents.code.backend import SandboxUnavailable
from agents.code.executor import CodeExecutor
from agents.code.guest import network
from agents.code.selection import Selection
from agents.egress.policy import EgressPolicy
from agents.errors import AgentTimeout, EgressRefused
from agents.spec import AgentSpec, AgentType
from tests.agents.certificates import certificate
from tests.agents.code.conftest import Lines, context_of
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Received, Server, http_server, json_reply

pytestmark = pytest.mark.case(15, 17, 40)

FETCH = """
import json, urllib.request, urllib.error
def main(input):
    try:
        with urllib.request.urlopen(input["url"], timeout=20) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
"""
FETCH_NODE = (
    "module.exports = async (input) => { const a = await fetch(input.url); return [a.status, await a.text()]; }"
)

Fetch = Callable[..., Awaitable[Any]]


@pytest.fixture
def fetch(log: Lines, sandbox: Selection) -> Fetch:
    """Runs a program that asks for a URL; `hosts` is what the tenant allows."""

    async def execute(
        url: str,
        *,
        code: str = FETCH,
        network: Any = True,
        hosts: Sequence[str] = ("*:1", "*"),
        egress: EgressPolicy = LOCAL,
        limit_seconds: float = 60,
        **fields: Any,
    ) -> Any:
        async def tenants_hosts() -> Sequence[str]:
            return hosts

        config = {"language": "python", "code": code, "network": network, **fields}
        spec = AgentSpec(id="a1", version=1, name="coder", type=AgentType.CODE, config=config)
        context = replace(context_of(log, limit_seconds), egress=egress, code_egress=tenants_hosts)
        return (await CodeExecutor(sandbox).run(spec, {"url": url}, context)).output

    return execute


def here(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        pytest.param(FETCH, {}, id="fresh"),
        pytest.param(FETCH, {"startup": "prewarmed"}, id="prewarmed"),
        pytest.param(FETCH_NODE, {"language": "node"}, id="node"),
    ],
)
async def test_a_program_reaches_what_agent_and_tenant_name(
    fetch: Fetch, server: Server, log: Lines, code: str, fields: dict[str, Any]
) -> None:
    server.answers = [json_reply("there", connection="close")]
    hosts = [here(server)]
    assert await fetch(server.url("/a?b=c"), code=code, network=hosts, hosts=hosts, **fields) == [200, '"there"']
    assert [received.target for received in server.received] == ["/a?b=c"]
    assert ("INFO", f"the program connects to {here(server)}") in log.written


@pytest.mark.parametrize(
    ("code", "fields"),
    [pytest.param(FETCH, {}, id="python"), pytest.param(FETCH_NODE, {"language": "node"}, id="node")],
)
async def test_https_is_the_programs_own_from_end_to_end(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, fields: dict[str, Any]
) -> None:
    server_tls, _ = certificate(tmp_path, "localhost")
    monkeypatch.setattr(machine, "certificates", lambda: str(tmp_path / "chain.pem"))
    async with http_server(server_tls) as server:
        server.answers = [json_reply("there", connection="close")]
        hosts = [f"localhost:{server.port}"]
        answer = await fetch(server.url(host="localhost"), code=code, network=hosts, hosts=hosts, **fields)
    assert answer == [200, '"there"']
    assert server.server_names == ["localhost"]


@pytest.mark.parametrize(
    ("agent", "tenant", "names"),
    [
        ("other.example", "{here}", "the agent's `network`"),
        ("{here}", "other.example", "`codeEgress`"),
        ("127.0.0.1", "{here}", "the agent's `network`"),
        ("*.0.0.1", "*", "the agent's `network`"),
    ],
)
async def test_what_one_of_them_does_not_name_is_refused(
    fetch: Fetch, server: Server, log: Lines, agent: str, tenant: str, names: str
) -> None:
    status, message = await fetch(
        server.url(), network=[agent.format(here=here(server))], hosts=[tenant.format(here=here(server))]
    )
    assert status == 403
    assert names in message
    assert server.received == []
    assert any(level == "WARN" and names in line for level, line in log.written)


async def test_international_names_are_written_as_they_are_looked_up(fetch: Fetch) -> None:
    hosts = ["xn--bcher-kva.invalid"]
    status, message = await fetch("http://xn--bcher-kva.invalid/", network=hosts, hosts=hosts)
    assert (status, message) == (502, "xn--bcher-kva.invalid:80 cannot be reached")


async def test_the_guard_holds_for_programs_too(fetch: Fetch, server: Server, log: Lines) -> None:
    hosts = [here(server)]
    status, message = await fetch(server.url(), network=hosts, hosts=hosts, egress=EgressPolicy())
    assert (status, "loopback" in message) == (403, True)
    assert [level for level, line in log.written if here(server) in line or "127.0.0.1" in line] == ["WARN"]
    assert server.received == []


async def test_a_redirect_is_checked_as_any_other_request(fetch: Fetch, server: Server, other_server: Server) -> None:
    server.answers = [json_reply(None, 302, location=other_server.url(), connection="close")]
    hosts = [here(server)]
    status, message = await fetch(server.url(), network=hosts, hosts=hosts)
    assert (status, here(other_server) in message) == (403, True)
    assert other_server.received == []


DIRECT = """
import socket
def main(input):
    told = {}
    for name, family, kind, address in [
        ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", input["port"])),
        ("outside", socket.AF_INET, socket.SOCK_STREAM, ("192.0.2.1", 80)),
        ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53)),
        ("v6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", input["port"])),
        ("raw", socket.AF_INET, socket.SOCK_RAW, ("127.0.0.1", 0)),
        ("netlink", socket.AF_NETLINK, socket.SOCK_RAW, (0, 0)),
    ]:
        try:
            with socket.socket(family, kind) as one:
                one.settimeout(5)
                one.connect(address)
            told[name] = "reached"
        except OSError as error:
            told[name] = error.errno
    return told
"""


async def test_nothing_but_the_way_out_can_be_connected_to(fetch: Fetch, server: Server, log: Lines) -> None:
    code = DIRECT.replace('input["port"]', str(server.port))
    told = await fetch(server.url(), code=code, hosts=["*"])
    assert "reached" not in told.values()
    assert set(told) == {"tcp", "outside", "udp", "v6", "raw", "netlink"}
    assert server.received == []


async def test_it_ends_with_the_run(fetch: Fetch, server: Server) -> None:
    asked = asyncio.Event()

    async def never(_request: Received, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.get_running_loop().create_future()

    server.answers = [never]
    hosts = [here(server)]
    with pytest.raises(AgentTimeout):
        await fetch(server.url(), network=hosts, hosts=hosts, limit_seconds=3)
    assert asked.is_set()


async def test_a_tenant_that_names_nothing_lets_nothing_out(fetch: Fetch, server: Server) -> None:
    with pytest.raises(EgressRefused, match="codeEgress"):
        await fetch(server.url(), hosts=[])


async def test_a_sandbox_without_networks_says_so(
    fetch: Fetch, server: Server, sandbox: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await sandbox.backend()
    monkeypatch.setattr(backend, "networks", False)
    with pytest.raises(SandboxUnavailable, match="gives them none"):
        await fetch(server.url())


async def test_many_connections_are_bounded_and_leave_nothing(fetch: Fetch, server: Server, log: Lines) -> None:
    code = """
import socket
def main(input):
    held = [socket.create_connection(("127.0.0.1", 3128)) for _ in range(200)]
    return len(held)
"""
    assert await fetch(server.url(), code=code) == 200


def test_what_the_worker_starts_meanwhile_does_not_inherit_the_way_out() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket() as listener:
        socket.send_fds(theirs, [network.LISTENER], [listener.fileno()])
        with network.taken(ours) as taken:
            assert not taken.get_inheritable()
