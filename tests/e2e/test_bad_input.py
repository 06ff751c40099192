"""What goes wrong at run time: a typed error with a hint in the step's record, and a platform that stays well."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.factories.api import step
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e]


@pytest.fixture(autouse=True)
async def _stays_well(live: Live) -> AsyncIterator[None]:
    yield
    health = await live.api.client.get("/health")
    assert health.json()["status"] == "healthy", health.text
    good = await live.api.active_workflow(name="Good", steps=[step("only", await live.code("return 'well'"))])
    assert (await live.run(good))["outputs"] == {"only": "well"}


async def failure(live: Live, agent: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The one step's record after a run that must fail."""
    workflow = await live.api.active_workflow(name="Bad", steps=[step("bad", agent, **fields)])
    execution = await live.run(workflow)
    assert execution["status"] == "FAILED", execution
    (attempt,) = await live.steps(execution["id"])
    assert execution["error"]["code"] == attempt["error"]["code"]
    assert execution["error"]["stepKey"] == "bad"
    return attempt


async def test_an_unknown_column(live: Live) -> None:
    rows = [{"origin": "JFK", "dep_delay": 3}]
    config = {"source": {"rows": rows}, "operations": [{"op": "filter", "where": "dep_dely > 1"}]}
    error = (await failure(live, await live.agent("DATA", config)))["error"]
    assert error["code"] == "DATA_ERROR"
    assert error["path"] == "operations[0]"
    assert "dep_dely" in error["message"]
    assert "dep_delay" in error["message"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://2130706433/", "http://169.254.169.254/latest", "http://localhost./"]
)
async def test_a_refused_address(live: Live, url: str) -> None:
    error = (await failure(live, await live.agent("API", {"method": "GET", "url": url})))["error"]
    assert error["code"] == "EGRESS_REFUSED"
    assert "EGRESS_ALLOW" in error["message"] + error.get("hint", "")


async def test_code_that_loops(live: Live) -> None:
    attempt = await failure(live, await live.code("while True:\n    pass"), timeoutSeconds=1)
    assert attempt["status"] == "TIMEOUT"
    assert attempt["error"]["code"] == "TIMEOUT"
    assert "timeoutSeconds" in attempt["error"]["hint"]
    assert 900 <= attempt["durationMs"] < 10_000  # wall time: the limit, and what it takes to clear up


async def test_code_that_allocates_without_end(live: Live) -> None:
    body = "held = []\nwhile True:\n    held.append(bytearray(10_000_000))"
    error = (await failure(live, await live.code(body, memoryMb=128)))["error"]
    assert error["code"] == "MEMORY_LIMIT"
    assert "memoryMb" in error["message"] + error.get("hint", "")


async def test_code_that_prints_a_hundred_megabytes(live: Live) -> None:
    body = "for _ in range(100):\n    print('x' * 1_000_000)\nreturn 1"
    error = (await failure(live, await live.code(body)))["error"]
    assert error["code"] == "OUTPUT_LIMIT"


async def test_a_reference_to_data_that_is_not_there(live: Live) -> None:
    steps = [
        step("a", await live.code("return {'rows': 1}")),
        step("b", await live.code("return input"), dependsOn=["a"], inputs={"n": "{{ a.output.rowz }}"}),
    ]
    execution = await live.run(await live.api.active_workflow(name="Missing", steps=steps))
    assert execution["error"]["code"] == "UNRESOLVED_REFERENCE"
    assert "a.output.rowz" in execution["error"]["message"]


async def test_odd_output_is_kept(live: Live) -> None:
    body = "print('\\x00\\x1b[31m')\nreturn {'nul': 'a\\x00b', 'big': 2**80, 'wide': '\\U0001f600\\u202e'}"
    workflow = await live.api.active_workflow(name="Odd", steps=[step("odd", await live.code(body))])
    execution = await live.run(workflow)
    assert execution["status"] in ("COMPLETED", "FAILED")
    (attempt,) = await live.steps(execution["id"])
    assert attempt["status"] == execution["status"]


async def test_a_program_reaches_what_its_tenant_names_and_the_guard_lets_through(live: Live) -> None:
    body = (
        "from urllib.error import HTTPError\n"
        "from urllib.request import urlopen\n"
        "try:\n"
        "    return urlopen('http://127.0.0.1/').read()\n"
        "except HTTPError as refused:\n"
        "    return refused.read().decode()"
    )
    agent = await live.code(body, network=True)
    error = (await failure(live, agent))["error"]
    assert error["code"] == "EGRESS_REFUSED"
    assert "codeEgress" in error["message"]
    setting = {"settings": {"codeEgress": ["127.0.0.1"]}}
    assert (await live.api.patch("/tenants/current", setting)).status_code == 200
    execution = await live.run(await live.api.active_workflow(name="Reach", steps=[step("reach", agent)]))
    assert "EGRESS_ALLOW" in execution["outputs"]["reach"]
