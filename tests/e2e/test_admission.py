"""Many runs of one tenant on the real stack: the run of another tenant goes before most of them."""

import asyncio
from typing import Any

import pytest

from tests.factories.api import owner
from tests.fixtures.live import Live, clients

pytestmark = pytest.mark.e2e

QUEUED = 40
"""Runs of one tenant that stand in Prefect's queues at once, unless set otherwise."""
MANY, AT_ONCE = QUEUED + 10, 5


async def started_at_once(live: Live, workflow: dict[str, Any]) -> list[str]:
    return await asyncio.gather(*(live.start(workflow) for _ in range(AT_ONCE)))


async def test_a_burst_of_one_tenant_delays_nobody_else(live: Live) -> None:
    decide = {"stepKey": "decide", "type": "CONDITION", "config": {"expression": "true", "then": []}}
    many = await live.api.active_workflow(steps=[decide])
    async with clients(live.stack) as (client, prefect):
        other = Live(api=await owner(client), prefect=prefect, stack=live.stack)
        one = await other.api.active_workflow(steps=[decide])
        burst = [each for _ in range(MANY // AT_ONCE) for each in await started_at_once(live, many)]
        ended = await other.run(one)
    assert ended["status"] == "COMPLETED"
    for each in burst:
        assert (await live.api.post(f"/executions/{each}/cancel")).status_code in (202, 409)
    last = [await live.ended(each) for each in burst]
    assert {each["status"] for each in last} <= {"COMPLETED", "CANCELLED"}
    assert len([each for each in last if (each["startedAt"] or "~") < ended["startedAt"]]) <= QUEUED + 1
