"""Where containers are to be had; apart from the engine's client, which takes a while to load."""

from dataclasses import dataclass

IMAGE = "turbocat-code"
URL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True)
class EnginePlace:
    """An engine on this machine."""

    image: str = IMAGE
    """Has `python3`, `node` for Node programs, and what programs may import. It is never pulled."""
    url: str = URL
