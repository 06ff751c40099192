"""What the operator lets tenants reach."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """What outgoing calls may reach beside public addresses: host names and CIDR networks, as strings."""

    allow: tuple[str, ...] = ()
