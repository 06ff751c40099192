"""Which IP addresses the platform must not connect to on behalf of a tenant."""

import ipaddress
import re
import socket
from contextlib import suppress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFUSED_NETWORKS: tuple[tuple[str, str], ...] = (
    ("127.0.0.0/8", "loopback"),
    ("::1/128", "loopback"),
    ("0.0.0.0/8", "unspecified"),
    ("::/128", "unspecified"),
    ("169.254.169.254/32", "a cloud metadata service"),
    ("100.100.100.200/32", "a cloud metadata service"),
    ("168.63.129.16/32", "a cloud metadata service"),
    ("fd00:ec2::254/128", "a cloud metadata service"),
    ("169.254.0.0/16", "link-local"),
    ("fe80::/10", "link-local"),
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("100.64.0.0/10", "shared by carriers"),
    ("fc00::/7", "private"),
    ("fec0::/10", "private"),
    ("224.0.0.0/4", "multicast"),
    ("ff00::/8", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("192.0.0.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),
    ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
    ("::ffff:0:0:0/96", "an IPv4 address in IPv6 form"),
    ("::/96", "an IPv4 address in IPv6 form"),
    ("64:ff9b::/96", "an IPv4 address in IPv6 form (NAT64)"),
    ("64:ff9b:1::/48", "an IPv4 address in IPv6 form (NAT64)"),
    ("2002::/16", "an IPv4 address in IPv6 form (6to4)"),
    ("2001::/32", "an IPv4 address in IPv6 form (Teredo)"),
    ("3fff::/20", "reserved"),
)
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
"""All that has been given out for public use so far."""
_REFUSED: tuple[tuple[Network, str], ...] = tuple((ipaddress.ip_network(text), why) for text, why in REFUSED_NETWORKS)

_NUMBER = r"(0x[0-9a-f]*|[0-9]+)"
_LEGACY_IPV4 = re.compile(rf"{_NUMBER}(\.{_NUMBER}){{0,3}}", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.IGNORECASE)
"""With underscores, which some have; everything else that a resolver might make something of is refused."""
MAX_NAME = 253
_ENDS_IN_NUMBER = re.compile(rf"(^|\.){_NUMBER}$", re.IGNORECASE)


def refusal(address: Address) -> str | None:
    """Why the address may not be reached; None for a public one."""
    for network, reason in _REFUSED:
        if address in network:
            return reason
    if isinstance(address, ipaddress.IPv6Address) and address not in PUBLIC_IPV6:
        return "not public"
    return None if address.is_global and not address.is_multicast else "not public"


def parse_host(host: str) -> Address | None:
    """The address that a URL's host spells out, in any notation that a C library would take (`127.1`, `0x7f000001`,
    `017700000001`); None for a name. Raises `ValueError` for what looks like an address and is none."""
    bare = host.strip("[]")
    if ":" in bare:
        return _ipv6(bare)
    with suppress(ValueError):
        return ipaddress.ip_address(bare)
    if _LEGACY_IPV4.fullmatch(bare):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(bare))
        except OSError as error:
            raise ValueError(f"{bare} is no IP address") from error
    if _ENDS_IN_NUMBER.search(bare):
        raise ValueError(f"{bare} is no IP address and no host name")
    if not _NAME.fullmatch(bare) or len(bare) > MAX_NAME:
        raise ValueError(f"{bare[:MAX_NAME]!r} is no host name")
    return None


def _ipv6(text: str) -> ipaddress.IPv6Address:
    """Zones (`fe80::1%eth0`) choose a network interface of this machine, which is nobody else's choice."""
    if "%" in text:
        raise ValueError(f"{text} names a network zone; write the address without it")
    return ipaddress.IPv6Address(text)


def normal_name(host: str) -> str:
    return host.strip().rstrip(".").lower()
