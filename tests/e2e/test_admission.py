"""Many runs of one tenant on the real stack: all get their turn, and another tenant's run does not wait for them."""

import asyncio

import pytest

from tests.factories.api import owner
from tests.fixtures.live import Live, clients

pytestmark = pytest.mark.e2e

MANY = 50
"""More than a tenant may have in Prefect's queues at once."""


async def test_a_burst_of_one_tenant_delays_nobody_else(live: Live) -> None:
    decide = {"stepKey": "decide", "type": "CONDITION", "config": {"expression": "true", "then": []}}
    many = await live.api.active_workflow(steps=[decide])
    async with clients(live.stack) as (client, prefect):
        other = Live(api=await owner(client), prefect=prefect, stack=live.stack)
        one = await other.api.active_workflow(steps=[decide])
        burst = await asyncio.gather(*(live.start(many) for _ in range(MANY)))
        ended = await other.run(one)
        assert ended["status"] == "COMPLETED"
        last = [await live.ended(each) for each in burst]
    assert {each["status"] for each in last} == {"COMPLETED"}
    assert ended["completedAt"] < max(each["completedAt"] for each in last)
