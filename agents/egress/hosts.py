"""Lists of hosts that somebody names: `api.example.com`, `*.example.com` (all below it), `*` (every public one).

A name alone means ports 80 and 443; `db.example.com:5432` names another. What a name resolves to is the guard's matter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.egress.addresses import normal_name
from agents.errors import EgressRefused

ANY = "*"
USUAL_PORTS = (80, 443)
MAX_PORT = 65535
ENTRY = re.compile(r"(?P<host>\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::(?P<port>[1-9][0-9]{0,4}))?")
HOW = "write a host as `api.example.com`, `*.example.com` or `*`, with `:port` where it is neither 80 nor 443"


def entry_problem(entry: str) -> str | None:
    """What is wrong with an entry of such a list, for people; None where nothing is."""
    found = ENTRY.fullmatch(entry.lower())
    if found is None:
        return f"{entry!r} is no host: {HOW}"
    if int(found["port"] or 1) > MAX_PORT:
        return f"{entry!r}: there is no port above {MAX_PORT}"
    return None


@dataclass(frozen=True, kw_only=True)
class AllowedHosts:
    """What a program may reach: hosts that its agent names and that its tenant names, both."""

    agent: Sequence[str]
    tenant: Sequence[str]

    def check(self, host: str, port: int) -> None:
        """Raises `EgressRefused`, which says who would have to name it."""
        if not any(_covers(entry, host, port) for entry in self.agent):
            raise EgressRefused(f"{host}:{port} is not in the agent's `network`", path="network")
        if not any(_covers(entry, host, port) for entry in self.tenant):
            raise EgressRefused(
                f"{host}:{port} is not among the hosts that the tenant lets programs reach (`codeEgress` of its "
                "settings)",
                path="network",
            )


def _covers(entry: str, host: str, port: int) -> bool:
    found = ENTRY.fullmatch(entry.lower())
    if found is None or (port != int(found["port"]) if found["port"] else port not in USUAL_PORTS):
        return False
    name, named = normal_name(host), found["host"]
    return named in (ANY, name) or (named.startswith("*.") and name.endswith(named[1:]))
