"""Many runs of one tenant on the real stack: the run of another tenant goes before most of them."""

import asyncio

import pytest

from tests.factories.api import owner
from tests.fixtures.live import Live, clients

pytestmark = pytest.mark.e2e

QUEUED = 40
"""Runs of one tenant that stand in Prefect's queues at once, unless set otherwise."""
MANY = QUEUED + 10


async def test_a_burst_of_one_tenant_delays_nobody_else(live: Live) -> None:
    decide = {"stepKey": "decide", "type": "CONDITION", "config": {"expression": "true", "then": []}}
    many = await live.api.active_workflow(steps=[decide])
    async with clients(live.stack) as (client, prefect):
        other = Live(api=await owner(client), prefect=prefect, stack=live.stack)
        one = await other.api.active_workflow(steps=[decide])
        burst = await asyncio.gather(*(live.start(many) for _ in range(MANY)))
        ended = await other.run(one)
    assert ended["status"] == "COMPLETED"
    for each in burst:
        assert (await live.api.post(f"/executions/{each}/cancel")).status_code in (202, 409)
    last = [await live.ended(each) for each in burst]
    assert {each["status"] for each in last} <= {"COMPLETED", "CANCELLED"}
    assert len([each for each in last if (each["startedAt"] or "~") < ended["startedAt"]]) <= QUEUED + 1
