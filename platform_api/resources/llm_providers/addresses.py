"""Where a provider may be asked: the egress guard's rules, as far as a URL tells without looking its name up.

What a name resolves to is checked when a worker connects to it.
"""

import httpx2

from agents.egress.addresses import normal_name
from agents.egress.guard import DEFAULT_PORTS, PLAIN_URL, Guard
from agents.egress.policy import EgressPolicy
from agents.errors import AgentError, Problem
from agents.providers.provider import ProviderKind

_LOCAL = "localhost"


async def address_problems(kind: ProviderKind, base_url: str | None, allow: tuple[str, ...]) -> list[Problem]:
    """What is wrong with the address of a provider of that kind."""
    if kind is ProviderKind.FAKE:
        return [_problem("NOT_ALLOWED", "a FAKE provider has no address")] if base_url is not None else []
    if base_url is None:
        missing = _problem("MISSING", "an OPENAI_COMPATIBLE provider needs its `baseUrl`, such as https://host/v1")
        return [missing] if kind is ProviderKind.OPENAI_COMPATIBLE else []
    if not PLAIN_URL.fullmatch(base_url):
        return [_problem("INVALID", "this is no plain http or https URL; write https://host:port/path")]
    try:
        await _check(httpx2.URL(base_url), Guard(EgressPolicy(allow=allow)))
    except httpx2.InvalidURL:
        return [_problem("INVALID", "this URL cannot be understood; write https://host:port/path")]
    except AgentError as refused:
        return [_problem(refused.code, refused.message)]
    return []


async def _check(url: httpx2.URL, guard: Guard) -> None:
    guard.check_url(url)
    name = normal_name(url.host)
    if name == _LOCAL or name.endswith(f".{_LOCAL}"):  # known without a look-up
        await guard.check_host(name, url.port or DEFAULT_PORTS[url.scheme])


def _problem(code: str, message: str) -> Problem:
    return Problem(path="baseUrl", code=code, message=message)
