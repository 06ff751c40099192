"""Whose request it is, in one place: rate limits, sessions and the audit log all ask `client_address`.

`X-Forwarded-For` is a claim that anybody can make. It is believed only where the connection comes from a trusted
proxy, and read from the right: each trusted proxy vouches for the address that it adds, and the first address that is
no trusted proxy is the client. What a client wrote there itself lies further left and is never reached.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from platform_api.kit.asgi.messages import Application, Receive, ScopeMap, Send

UNKNOWN = "unknown"
"""The address where there is none: a socket in the file system."""

MAX_HOPS = 20
"""Entries of `X-Forwarded-For` that are read, from the right."""

_KEY = "turbocat.client_address"
_SECURE = {"http": "https", "ws": "wss"}
_PLAIN = {secure: plain for plain, secure in _SECURE.items()}

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(scope: ScopeMap) -> str:
    """The client's IP address in its shortest spelling, behind the trusted proxies; `UNKNOWN` without one."""
    found: str | None = scope.get(_KEY)
    return found if found is not None else _peer(scope)


class ClientAddresses:
    """Finds the client of each request, and whether it came by HTTPS (`X-Forwarded-Proto` of a trusted proxy)."""

    def __init__(self, app: Application, *, trusted: Sequence[Network]) -> None:
        self.app = app
        self.trusted = tuple(trusted)

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on with the answer of `client_address` in the scope."""
        if scope["type"] in ("http", "websocket"):
            peer = _peer(scope)
            scope[_KEY] = self._client(scope, peer)
            if self._trusts(peer):
                scope["scheme"] = _forwarded_scheme(scope)
        await self.app(scope, receive, send)

    def _client(self, scope: ScopeMap, peer: str) -> str:
        client = peer
        for claimed in _forwarded_for(scope):
            if not self._trusts(client):
                break
            address = _parsed(claimed)
            if address is None:
                break
            client = str(address)
        return client

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self.trusted)


def _peer(scope: ScopeMap) -> str:
    client = scope.get("client")
    if not client or not client[0]:
        return UNKNOWN
    parsed = _parsed(client[0])
    return str(parsed) if parsed is not None else UNKNOWN


def _forwarded_for(scope: ScopeMap) -> Iterable[str]:
    entries = ",".join(_values(scope, b"x-forwarded-for")).rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    return (entry.strip() for entry in reversed(entries))


def _forwarded_scheme(scope: ScopeMap) -> str:
    current = str(scope.get("scheme", "http"))
    claimed = _values(scope, b"x-forwarded-proto")
    if claimed in (["https"], ["wss"]):
        return _SECURE.get(current, current)
    return _PLAIN.get(current, current) if claimed in (["http"], ["ws"]) else current


def _values(scope: ScopeMap, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]


def _parsed(text: str) -> Address | None:
    """An address with or without port; IPv4 inside IPv6 is the same machine as IPv4, and a zone is no part of it."""
    try:
        address = ip_address(_without_port(text).partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
