"""Rate limits by HTTP: per address below `/auth`, per user, per key; what answers say; what a broken store does."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from asgi_lifespan import LifespanManager

from platform_api.kit import rate_limiter
from platform_api.kit.rate_limiter import RateLimiter
from platform_api.main import create_app
from platform_api.settings import LimitSettings, Settings
from tests.factories.api import owner
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of, register

LOGIN = "/api/v1/auth/login"
ME = "/api/v1/users/me"


def wrong() -> dict[str, str]:
    """Credentials of nobody, each time of somebody else."""
    return {"email": f"nobody-{uuid4().hex}@example.com", "password": "x"}


@asynccontextmanager
async def serving(settings: Settings, **limits: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with limits of its own."""
    changed = settings.model_copy(update={"limits": LimitSettings(**limits)})
    application = create_app(changed, FakeOrchestrator())
    async with LifespanManager(application), client_at(application, "203.0.113.1") as client:
        yield client


def client_at(application: Any, address: str) -> httpx.AsyncClient:
    """A client that connects from `address`."""
    transport = httpx.ASGITransport(application, client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://api.example.com")


def headers_of(answer: httpx.Response) -> tuple[int, int]:
    """`RateLimit-Limit` and `RateLimit-Remaining`; the reset lies within the minute."""
    assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
    return int(answer.headers["RateLimit-Limit"]), int(answer.headers["RateLimit-Remaining"])


@pytest.mark.case(6)
async def test_an_address_has_so_many_calls_below_auth(settings: Settings) -> None:
    async with serving(settings, auth_per_minute=3) as client:
        shown = []
        for _ in range(3):
            answer = await client.post(LOGIN, json=wrong())
            error_of(answer, 401, "INVALID_CREDENTIALS")
            shown.append(headers_of(answer))
        assert shown == [(3, 2), (3, 1), (3, 0)]
        refused = await client.post(LOGIN, json=wrong())
        error_of(refused, 429, "RATE_LIMITED")
        assert headers_of(refused) == (3, 0)
        assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"]
        error_of(await client.post("/api/v1/auth/refresh", json={}), 429, "RATE_LIMITED")


@pytest.mark.case(6)
async def test_a_forwarded_address_that_nobody_vouches_for_changes_nothing(settings: Settings) -> None:
    async with serving(settings, auth_per_minute=2) as client:
        statuses = [
            (await client.post(LOGIN, json=wrong(), headers={"X-Forwarded-For": f"198.51.100.{last}"})).status_code
            for last in range(4)
        ]
        assert statuses == [401, 401, 429, 429]


async def test_another_address_is_not_concerned(settings: Settings) -> None:
    limited = settings.model_copy(update={"limits": LimitSettings(auth_per_minute=1)})
    application = create_app(limited, FakeOrchestrator())
    one, other = client_at(application, "203.0.113.1"), client_at(application, "203.0.113.2")
    async with LifespanManager(application), one, other:
        statuses = [(await client.post(LOGIN, json=wrong())).status_code for client in (one, one, other)]
    assert statuses == [401, 429, 401]


async def test_an_ipv6_network_is_one_address(settings: Settings) -> None:
    """Whoever has one address of a /64 has all of them, and would have as many attempts."""
    application = create_app(
        settings.model_copy(update={"limits": LimitSettings(auth_per_minute=2)}), FakeOrchestrator()
    )
    async with LifespanManager(application):
        statuses = []
        for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2::3", "2001:db8:1:3::1"):
            async with client_at(application, address) as client:
                statuses.append((await client.post(LOGIN, json=wrong())).status_code)
    assert statuses == [401, 401, 429, 401]


async def test_a_keys_own_limit_lowers_the_platforms_and_never_raises_it(settings: Settings) -> None:
    async with serving(settings, key_per_minute=5) as client:
        api = await owner(client)
        for own, limit in ((3, 3), (1_000_000, 5), (None, 5)):
            body = {"name": "k", "scopes": ["agents:read"], "rateLimitPerMinute": own}
            key = {"X-API-Key": (await api.made("/api-keys", body))["key"]}
            assert headers_of(await client.get("/api/v1/agents", headers=key)) == (limit, limit - 1)


async def test_a_user_has_so_many_calls_with_all_tokens(settings: Settings) -> None:
    async with serving(settings, user_per_minute=3) as client:
        member = await register(client)
        again = await client.post(LOGIN, json={"email": member.email, "password": member.password})
        second = {"Authorization": f"Bearer {again.json()['data']['tokens']['accessToken']}"}
        answers = [await client.get(ME, headers=headers) for headers in (member.headers, second, second, second)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert [headers_of(each) for each in answers] == [(3, 2), (3, 1), (3, 0), (3, 0)]
        other = await register(client)
        assert (await client.get(ME, headers=other.headers)).status_code == 200


async def test_errors_and_deletes_are_counted_and_say_so(settings: Settings) -> None:
    async with serving(settings, user_per_minute=9) as client:
        api = await owner(client)
        missing = await api.get("/agents/00000000-0000-7000-8000-000000000000")
        assert (missing.status_code, headers_of(missing)) == (404, (9, 8))
        ended = await api.post("/auth/logout")
        assert ended.status_code == 204
        assert headers_of(ended) == (9, 7)


@pytest.mark.case(6)
async def test_guesses_of_tokens_and_keys_are_limited(settings: Settings) -> None:
    async with serving(settings, bad_credentials_per_minute=2) as client:
        member = await register(client)
        tried = [{"X-API-Key": "tc_0_guess"}, {"Authorization": "Bearer x.y.z"}, {"X-API-Key": "tc_1_guess"}]
        statuses = [(await client.get(ME, headers=headers)).status_code for headers in tried]
        assert statuses == [401, 401, 429]
        error_of(await client.get(ME, headers=member.headers), 429, "RATE_LIMITED")
        error_of(await client.get(ME), 401, "UNAUTHENTICATED")  # without credentials nothing is guessed


async def test_nought_means_no_limit_and_nothing_to_say(settings: Settings) -> None:
    async with serving(settings, auth_per_minute=0, user_per_minute=0) as client:
        member = await register(client)
        answer = await client.get(ME, headers=member.headers)
        assert answer.status_code == 200
        assert "RateLimit-Limit" not in answer.headers


async def test_probes_are_not_counted(settings: Settings) -> None:
    async with serving(settings, auth_per_minute=1, user_per_minute=1) as client:
        answers = [await client.get("/ready") for _ in range(3)]
        assert {each.status_code for each in answers} == {200}


async def test_a_store_that_is_away_lets_calls_through_and_says_so_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        with caplog.at_level(logging.WARNING):
            async with serving(settings, redis_url=url, auth_per_minute=1) as client:
                statuses = [(await client.post(LOGIN, json=wrong())).status_code for _ in range(3)]
    assert statuses == [401, 401, 401]
    assert sum("rate_limits_off" in str(record.msg) for record in caplog.records) == 1


COUNTED = (20, 0, 19)


async def counted(limiters: list[RateLimiter]) -> tuple[int, int, int]:
    """Of fifty at once how many of twenty were let through, whoever of `limiters` counts them; then what is left, and
    what is left of another counter."""
    try:
        counts = await asyncio.gather(*(limiters[each % len(limiters)].count("shared", 20) for each in range(50)))
        left, other = await limiters[-1].look("shared", 20), await limiters[0].count("another", 20)
        assert left is not None
        assert other is not None
        return sum(count is not None and count.allowed for count in counts), left.remaining, other.remaining
    finally:
        for limiter in limiters:
            await limiter.aclose()


async def test_counters_in_memory_are_exact_under_concurrency() -> None:
    assert await counted([RateLimiter()]) == COUNTED


async def test_counters_of_one_redis_are_shared_by_processes_and_exact(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clients with connections of their own, as two processes have; fifty new ones may take a busy machine long."""
    monkeypatch.setattr(rate_limiter, "REDIS_SECONDS", 30.0)
    assert await counted([RateLimiter(redis_url), RateLimiter(redis_url)]) == COUNTED
