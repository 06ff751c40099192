"""Which calls are counted, on whose account, and what an answer says of it.

Below `/auth` and `/hooks` a call counts for its address; with credentials for the user, or for the key. Credentials
that cannot be used count for their address too, which after too many of them has to wait before it may try again.
"""

from collections.abc import Mapping
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from platform_api.access.principal import Principal
from platform_api.errors import RateLimited
from platform_api.kit.asgi.answer_headers import add_answer_headers
from platform_api.kit.asgi.client_address import client_address
from platform_api.kit.asgi.messages import ScopeMap
from platform_api.kit.rate_limiter import Count, RateLimiter
from platform_api.settings import LimitSettings

PER_ADDRESS = ("/api/v1/auth/", "/api/v1/hooks/")
"""Where calls are counted before it is known who calls."""

_IPV6_PREFIX = 64
_SHOWN = "turbocat.rate_limit"


class RateLimits:
    """The counters of one process, or of all of them when there is a Redis. Raises `RateLimited`."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        url = settings.redis_url
        self._limiter = RateLimiter(None if url is None else url.get_secret_value())

    async def aclose(self) -> None:
        """Closes connections."""
        await self._limiter.aclose()

    async def count_address(self, scope: ScopeMap) -> None:
        """Counts a call of a path that is open to anybody; other paths are let through."""
        if scope["path"].startswith(PER_ADDRESS):
            counter = f"address:{_address(scope)}"
            _tell(scope, await self._limiter.count(counter, self._settings.auth_per_minute))

    async def count_caller(self, scope: ScopeMap, principal: Principal) -> None:
        """Counts a call of somebody known."""
        if principal.key_id is None:
            counter, limit = f"user:{principal.user_id}", self._settings.user_per_minute
        else:
            counter, limit = f"key:{principal.key_id}", self._limit_of_key(principal.key_limit_per_minute)
        _tell(scope, await self._limiter.count(counter, limit))

    def _limit_of_key(self, own: int | None) -> int:
        """Whoever makes a key chooses its limit, but not one beyond the platform's."""
        return min(filter(None, (own, self._settings.key_per_minute)), default=0)

    async def check_guesses(self, scope: ScopeMap) -> None:
        """Refuses credentials from an address that has sent too many bad ones lately."""
        count = await self._limiter.look(_guesses(scope), self._settings.bad_credentials_per_minute)
        if count is not None and not count.allowed:
            _tell(scope, count)

    async def count_guess(self, scope: ScopeMap) -> None:
        """Counts credentials that could not be used."""
        await self._limiter.count(_guesses(scope), self._settings.bad_credentials_per_minute)


def _guesses(scope: ScopeMap) -> str:
    return f"guesses:{_address(scope)}"


def _address(scope: ScopeMap) -> str:
    """What counts as one address: of IPv6 the /64, since everybody who has one has all of it."""
    text = client_address(scope)
    try:
        return str(IPv6Network((IPv6Address(text), _IPV6_PREFIX), strict=False))
    except ValueError:
        return text


def _tell(scope: ScopeMap, count: Count | None) -> None:
    """Puts the headers of the tightest counter on the answer; raises `RateLimited` when one is used up."""
    if count is None:
        return
    shown: Count | None = scope.get(_SHOWN)
    if shown is None or not count.allowed or count.remaining < shown.remaining:
        scope[_SHOWN] = count
        add_answer_headers(scope, _headers(count))
    if not count.allowed:
        raise RateLimited(
            f"More than {count.limit} calls in a minute; try again in {count.reset_seconds} s",
            headers={"Retry-After": str(count.reset_seconds)},
        )


def _headers(count: Count) -> Mapping[str, Any]:
    return {
        "RateLimit-Limit": count.limit,
        "RateLimit-Remaining": count.remaining,
        "RateLimit-Reset": count.reset_seconds,
    }
