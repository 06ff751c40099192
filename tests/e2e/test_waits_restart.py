"""What waits survives a restart of everything."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.test_waits import a_run, answer, suspended_run, wait, waiting
from tests.factories.api import owner, step
from tests.fixtures.live import Live, clients
from tests.fixtures.stack import started

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_runs_that_wait_go_on_after_a_restart_of_the_whole_stack(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with started(data, tmp_path / "first.log") as stack:
        async with clients(stack) as (client, prefect):
            live = Live(api=await owner(client), prefect=prefect, stack=stack)
            before = await live.code("return {'seen': 1}")
            asked = await a_run(
                live,
                step("before", before),
                wait("ask", kind="approval", dependsOn=["before"]),
                step("after", before, dependsOn=["ask"]),
                output={"seen": "{{ before.output.seen }}", "approved": "{{ ask.output.approved }}"},
            )
            timed = await a_run(live, wait("pause", kind="duration", seconds=8))
            for each in (asked, timed):
                await suspended_run(live, await waiting(live, each))
            steps = await live.steps(asked)
    with started(data, tmp_path / "second.log") as stack:
        async with clients(stack) as (client, prefect):
            api = replace(live.api, client=client)
            live = Live(api=api, prefect=prefect, stack=stack)
            assert (await live.ended(timed))["status"] == "COMPLETED"
            await answer(live, asked, path="ask", approved=True)
            execution = await live.ended(asked)
            assert execution["outputs"] == {"seen": 1, "approved": True}, execution
            again = {each["id"]: each for each in await live.steps(asked)}
            first = next(each for each in steps if each["path"] == "before")
            assert again[first["id"]]["completedAt"] == first["completedAt"]
            assert len(again) == 3
