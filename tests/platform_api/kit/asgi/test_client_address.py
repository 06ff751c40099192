"""Whose request it is: `X-Forwarded-For` counts only from trusted proxies, read from the right (case 6)."""

from ipaddress import ip_network
from typing import Any

import pytest

from platform_api.kit.asgi.client_address import UNKNOWN, ClientAddresses, client_address
from platform_api.kit.asgi.messages import Message, ScopeMap

pytestmark = pytest.mark.case(6)

PROXIES = tuple(ip_network(each) for each in ("10.0.0.0/8", "127.0.0.1", "fd00::/8"))
PROXY = "10.0.0.1"


async def seen(peer: Any, *headers: tuple[str, str], scheme: str = "http", kind: str = "http") -> ScopeMap:
    """The scope as the application behind the layer gets it."""
    scopes: list[ScopeMap] = []

    async def application(scope: ScopeMap, _receive: Any, _send: Any) -> None:
        scopes.append(scope)

    async def nothing(*_: Any) -> Message:
        raise AssertionError("the layer neither reads nor answers")

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope: ScopeMap = {"type": kind, "client": peer, "headers": raw, "scheme": scheme}
    await ClientAddresses(application, trusted=PROXIES)(scope, nothing, nothing)
    return scopes[0]


async def address(peer: str, *forwarded: str) -> str:
    return client_address(await seen((peer, 5000), *(("X-Forwarded-For", each) for each in forwarded)))


@pytest.mark.parametrize("claim", ["1.2.3.4", "10.0.0.9", "127.0.0.1", "::1", "", "nonsense"])
async def test_what_a_stranger_claims_is_not_believed(claim: str) -> None:
    assert await address("203.0.113.9", claim) == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (["198.51.100.7", "10.2.2.2"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["10.9.9.9, 198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (["198.51.100.7:4711"], "198.51.100.7"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["fe80::1%eth0"], "fe80::1"),
        (["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
    ],
)
async def test_a_trusted_proxy_names_the_client(forwarded: list[str], client: str) -> None:
    assert await address(PROXY, *forwarded) == client


@pytest.mark.parametrize("forwarded", ["", ",", "unknown", "_hidden", "198.51.100.7 evil", "999.1.1.1", "é"])
async def test_where_the_chain_breaks_the_last_good_address_stays(forwarded: str) -> None:
    assert await address(PROXY, forwarded) == PROXY
    assert await address(PROXY, f"1.2.3.4, {forwarded}, 10.2.2.2") == "10.2.2.2"


async def test_a_proxy_inside_ipv6_is_the_same_proxy() -> None:
    assert await address("::ffff:10.0.0.1", "198.51.100.7") == "198.51.100.7"


async def test_a_header_without_end_is_read_to_a_bound() -> None:
    assert await address(PROXY, ", ".join(["198.51.100.7"] + ["10.0.0.2"] * 100_000)) == "10.0.0.2"


@pytest.mark.parametrize("peer", [None, ("", 0), ("testclient", 50000)])
async def test_without_an_address_it_is_unknown(peer: Any) -> None:
    assert client_address(await seen(peer, ("X-Forwarded-For", "198.51.100.7"))) == UNKNOWN


async def test_without_the_layer_the_peer_is_the_client() -> None:
    scope = {"type": "http", "client": ("203.0.113.9", 1), "headers": [(b"x-forwarded-for", b"1.2.3.4")]}
    assert client_address(scope) == "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "scheme", "claims", "expected"),
    [
        (PROXY, "http", ["https"], "https"),
        (PROXY, "ws", ["https"], "wss"),
        (PROXY, "ws", ["wss"], "wss"),
        (PROXY, "https", ["http"], "http"),
        (PROXY, "http", [], "http"),
        (PROXY, "http", ["javascript"], "http"),
        (PROXY, "http", ["https", "http"], "http"),
        ("203.0.113.9", "http", ["https"], "http"),
        ("203.0.113.9", "https", ["http"], "https"),
    ],
)
async def test_only_a_trusted_proxy_says_how_the_client_came(
    peer: str, scheme: str, claims: list[str], expected: str
) -> None:
    scope = await seen((peer, 1), *(("X-Forwarded-Proto", claim) for claim in claims), scheme=scheme)
    assert scope["scheme"] == expected


async def test_a_websocket_has_a_client_too() -> None:
    scope = await seen((PROXY, 1), ("X-Forwarded-For", "198.51.100.7"), kind="websocket", scheme="ws")
    assert client_address(scope) == "198.51.100.7"
