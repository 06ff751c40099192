"""Passwords."""

import time

import pytest

from platform_api.access.passwords import Passwords, password_problems

GOOD = "Sesame-Open-1"


async def test_a_password_matches_its_own_hash_only() -> None:
    passwords = Passwords(rounds=4)
    stored = await passwords.hash(GOOD)
    assert GOOD not in stored
    assert await passwords.matches(GOOD, stored)
    assert not await passwords.matches(GOOD + "x", stored)
    assert stored != await passwords.hash(GOOD)


async def test_nothing_matches_nobody() -> None:
    passwords = Passwords(rounds=4)
    assert not await passwords.matches(GOOD, None)
    assert not await passwords.matches("", None)


@pytest.mark.parametrize("stored", ["!", "", "plain text"])
async def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    passwords = Passwords(rounds=4)
    assert not await passwords.matches(stored, stored)
    assert not await passwords.matches(GOOD, stored)


async def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    passwords = Passwords(rounds=10)
    stored = await passwords.hash(GOOD)
    costs = []
    for each in (stored, None):
        started = time.process_time()
        for _ in range(3):
            await passwords.matches("Wrong-Pass-1", each)
        costs.append(time.process_time() - started)
    assert min(costs) > 0.5 * max(costs)


@pytest.mark.parametrize("password", [GOOD, "Пароль-1x", "Aa1!" + "ü" * 34, "\U0001f511Aa1 bcd"])
def test_good_ones(password: str) -> None:
    assert password_problems(password) == []
