"""When a run may give up its process: nothing but waits is left, and none of them is over soon."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from flows.runtime.activity import NEAR_SECONDS, Activity

LATER = timedelta(seconds=NEAR_SECONDS + 60)


async def leaves(activity: Activity, seconds: float = 0.2) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await activity.only_waits()
    except TimeoutError:
        return False
    return True


async def test_a_run_with_only_a_distant_wait_leaves() -> None:
    activity = Activity()
    activity.begin()
    with activity.waiting(datetime.now(UTC) + LATER):
        assert await leaves(activity)
    with activity.waiting(None):
        assert await leaves(activity)


async def test_one_step_at_work_keeps_it() -> None:
    activity = Activity()
    activity.begin()
    activity.begin()
    with activity.waiting(None):
        assert not await leaves(activity)
        with activity.resting():
            assert await leaves(activity)


async def test_a_wait_that_is_over_soon_keeps_it() -> None:
    activity = Activity()
    activity.begin()
    with activity.waiting(datetime.now(UTC) + timedelta(seconds=NEAR_SECONDS / 2)):
        assert not await leaves(activity)


async def test_nothing_at_work_without_any_wait_is_only_a_moment() -> None:
    assert not await leaves(Activity())


@pytest.mark.parametrize("turns", [1, 5, 9])
async def test_a_gap_between_two_steps_is_not_mistaken_for_the_end(turns: int) -> None:
    activity = Activity()
    activity.begin()

    async def next_step_begins_a_little_later() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        activity.begin()

    with activity.waiting(None):
        follower = asyncio.create_task(next_step_begins_a_little_later())
        assert not await leaves(activity)
    await follower
