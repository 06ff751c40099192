"""Reads `EGRESS_ALLOW`: the host names and networks that may be reached although their addresses are not public."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from agents.egress.addresses import Address, Network, normal_name, parse_host

FORMS = "write a host name (ollama.internal), an address (10.1.2.3) or a network (10.20.0.0/16)"
_PORT = re.compile(r"[^:]+:[0-9]*|\[.*\]:[0-9]*")
_PREFIX = re.compile(r"[0-9a-f.:]+/[0-9]+", re.IGNORECASE)


def read_entry(entry: str) -> Network | str:
    """The network that an entry means, or the host name, in lower case; raises `ValueError` for neither.

    Ports, wildcards and schemes are refused rather than passed over: whoever wrote one meant it to narrow or widen
    what is allowed, and it would do nothing.
    """
    bare = entry.strip()
    if "://" in bare or "@" in bare:
        raise ValueError("leave out the scheme, user and path, and write the host alone")
    if "*" in bare:
        raise ValueError(f"there are no wildcards; {FORMS}, each by itself")
    if _PORT.fullmatch(bare):
        raise ValueError("leave out the port: an entry allows all ports of a host")
    if "/" in bare:
        return _network(bare)
    if not bare.isascii():
        raise ValueError(f"write an international name in its ASCII form: {_ascii_form(bare)}")
    address = parse_host(normal_name(bare))
    if address is None:
        return normal_name(bare)
    if address.version == 4 and str(address) != normal_name(bare):
        raise ValueError(f"write it as {address}")
    return ipaddress.ip_network(address)


@lru_cache(maxsize=64)
def allowed_networks(allow: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks and single addresses among the entries."""
    return tuple(found for entry in allow if not isinstance(found := read_entry(entry), str))


@lru_cache(maxsize=64)
def allowed_names(allow: tuple[str, ...]) -> frozenset[str]:
    """The host names among them."""
    return frozenset(found for entry in allow if isinstance(found := read_entry(entry), str))


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    """An IPv4 address in IPv6 form counts as the IPv4 address, but only where the network was allowed as such."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any(address in network or (mapped is not None and mapped in network) for network in networks)


def entry_problems(allow: Iterable[str]) -> list[str]:
    """What is wrong with which entry, without the password of one that is a whole URL."""
    problems = []
    for entry in allow:
        try:
            read_entry(entry)
        except ValueError as error:
            shown = entry.rpartition("@")[2]
            problems.append(f"{shown!r} is no host and no network: {error}")
    return problems


def _network(text: str) -> Network:
    if not _PREFIX.fullmatch(text):
        raise ValueError(FORMS)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("networks are written as 10.20.0.0/16 or fd00:1::/32") from None
    address = text.partition("/")[0]
    if ipaddress.ip_address(address) != network.network_address:
        raise ValueError(f"its network begins at another address; write {network} for all of it, or {address} alone")
    return network


def _ascii_form(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return "xn--…"
