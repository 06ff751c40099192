"""A planted secret goes through a whole run on the real stack and is nowhere afterwards but encrypted (case 31)."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions, create_engine, session_maker
from platform_api.settings import DatabaseSettings
from tests.factories.api import step
from tests.factories.canary import tables_with, traces_of
from tests.fixtures.live import Live
from tests.fixtures.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.case(31)]

LEAKY = """import base64, json, sys, urllib.parse
token = input['token']
assert token.startswith('canary')
print('here it is:', token)
print('once more', json.dumps({'t': token}), urllib.parse.quote(token), token.encode().hex(), file=sys.stderr)
encoded = base64.b64encode(('user:' + token).encode()).decode()
if input.get('fail'):
    raise ValueError('broke with ' + token)
again = base64.b64encode(token.encode()).decode()
return {'plain': token, token: [encoded, again], 'pad': (token + 20 * '.') * input['times']}"""


async def a_leak(live: Live, name: str, **inputs: Any) -> dict[str, Any]:
    """A run whose program prints and returns the secret."""
    agent = await live.code(LEAKY)
    shown = await live.code("return {'seen': input['seen']}")
    steps = [
        step("leak", agent, inputs={"token": f"{{{{ secrets.{name} }}}}", "times": 1, **inputs}),
        step("after", shown, dependsOn=["leak"], inputs={"seen": "{{ leak.output.plain }}"}),
    ]
    return await live.run(await live.api.active_workflow(steps=steps))


def files_with(folder: Path, secret: str) -> list[str]:
    """Files of the stack's data folder that hold a trace; the database's own pages are searched by SQL."""
    traces = [trace.encode() for trace in traces_of(secret)]
    kept = [path for path in folder.rglob("*") if path.is_file() and "postgres" not in path.relative_to(folder).parts]
    return [str(path) for path in kept if any(trace in path.read_bytes() for trace in traces)]


async def found_in_databases(stack: RunningStack, secret: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for url in (stack.database_url, stack.database_url.replace("/turbocat", "/prefect", 1)):
        engine = create_engine(DatabaseSettings(url=url), application_name="canary")
        sessions: Sessions = session_maker(engine)
        try:
            async with system_scope(sessions) as scope:
                found |= await tables_with(scope.session, secret)
        finally:
            await engine.dispose()
    return found


async def mirrored(live: Live, execution: dict[str, Any]) -> str:
    """What Prefect's log says of the run, once the program's lines have come there."""
    body = {"logs": {"flow_run_id": {"any_": [execution["prefectFlowRunId"]]}}}
    lines = ""
    for _ in range(200):
        lines = (await live.prefect.post("logs/filter", json=body)).text
        if "here it is" in lines and "once more" in lines:
            return lines
        await asyncio.sleep(0.1)
    raise AssertionError(f"Prefect has other lines: {lines}")


async def test_a_planted_secret_is_found_nowhere(live: Live) -> None:
    secret = f"canary-{uuid4().hex}+/ü"
    name = "CANARY"
    assert (await live.api.send("PUT", f"/secrets/{name}", {"value": secret})).status_code == 200

    done = await a_leak(live, name)
    assert done["status"] == "COMPLETED", done
    assert done["outputs"] == {"after": {"seen": "***"}}
    large = await a_leak(live, name, times=4_000)
    assert large["status"] == "COMPLETED", large
    failed = await a_leak(live, name, fail=True)
    assert failed["status"] == "FAILED"
    assert failed["error"]["stepKey"] == "leak"

    for execution in (done, large, failed):
        await live.flow_run(execution)
        steps = await live.steps(execution["id"])
        logs = await live.data(f"/executions/{execution['id']}/logs", pageSize=100)
        assert next(each for each in steps if each["stepKey"] == "leak")["input"]["token"] == "***"
        assert any("here it is: ***" in line["message"] for line in logs)
        shown = f"{execution}{steps}{logs}{await mirrored(live, execution)}"
        assert [trace for trace in traces_of(secret) if trace in shown] == []
    assert {"execution_logs", "log"} <= set(await found_in_databases(live.stack, "here it is: ***")), "the search finds"
    assert files_with(live.stack.data_dir, '"pad":"***.....') != []
    assert await found_in_databases(live.stack, secret) == {}
    assert files_with(live.stack.data_dir, secret) == []
