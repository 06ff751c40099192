"""Previews of fused steps on the real stack."""

import pytest

from tests.factories.api import step
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e]


async def test_the_table_of_a_fused_step_is_computed_by_a_worker(live: Live) -> None:
    rows = [{"n": n, "text": "x" * 1_000} for n in range(200)]
    load = await live.agent("DATA", {"source": {"rows": rows}, "operations": [{"op": "filter", "where": "n >= 5"}]})
    total = await live.agent("DATA", {"operations": [{"op": "reduce", "aggregations": {"s": "SUM(n)"}}]})
    steps = [step("load", load), step("total", total, dependsOn=["load"], inputs={"load": "{{ load.output }}"})]
    execution = await live.run(await live.api.active_workflow(steps=steps))
    assert execution["status"] == "COMPLETED", execution["error"]
    fused = next(each for each in await live.steps(execution["id"]) if each["stepKey"] == "load")
    assert fused["outputRef"] is not None

    answer = await live.api.post(f"/executions/{execution['id']}/preview", {"path": "load"})
    shown = answer.json()["data"]
    assert (answer.status_code, shown["status"], shown["error"]) == (200, "COMPLETED", None), answer.text
    assert shown["schema"] == {"n": "Int64", "text": "String"}
    assert [row["n"] for row in shown["preview"]] == list(range(5, 25))
    again = (await live.api.post(f"/executions/{execution['id']}/preview", {"path": "load"})).json()["data"]
    assert again == shown
