"""Case 27 on the real stack: megabytes of inputs go through, and Prefect gets none of them."""

import pytest

from tests.factories.api import step
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e, pytest.mark.case(27)]


@pytest.mark.parametrize("megabytes", [5, 9])
async def test_large_inputs_reach_their_step_and_not_prefect(live: Live, megabytes: int) -> None:
    count = await live.code("return {'rows': len(input['rows']), 'characters': sum(map(len, input['rows']))}")
    steps = [
        step("count", count, inputs={"rows": "{{ inputs.rows }}"}),
        step("tell", await live.code("return input"), dependsOn=["count"], inputs={"n": "{{ count.output.rows }}"}),
    ]
    workflow = await live.api.active_workflow(steps=steps, output={"counted": "{{ count.output }}"})
    rows = ["x" * 1000] * (megabytes * 1000)
    execution = await live.run(workflow, inputs={"rows": rows})
    assert execution["status"] == "COMPLETED", execution["error"]
    assert execution["outputs"] == {"counted": {"rows": len(rows), "characters": 1000 * len(rows)}}
    assert execution["inputs"] == {"rows": rows}
    assert (await live.flow_run(execution))["parameters"] == {}
    recorded = {each["stepKey"]: each["input"] for each in await live.steps(execution["id"])}
    assert recorded["tell"] == {"n": len(rows)}
