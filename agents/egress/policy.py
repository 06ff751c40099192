"""What the operator lets tenants reach, and which tenant it is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """What outgoing calls may reach beside public addresses: host names and CIDR networks, as strings.

    Connections, tokens and turns belong to one policy, and so to one `tenant`: whoever uses all of theirs up keeps
    nobody else waiting.
    """

    allow: tuple[str, ...] = ()
    tenant: str = ""
