"""The stream of a run that has ended: all that is on record, from where the client left, and then the end."""

import httpx
import pytest

from flows.runtime.ports import LogLine, StepAttempt, StepOutcome
from flows.states import StepStatus
from platform_api.db.engine import Sessions
from platform_api.resources.streams.service import PAGE_ENTRIES
from tests.factories.api import Api, owner
from tests.factories.events import Running, events_of, waiting_run
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions) -> Running:
    """Six entries: PENDING, RUNNING, load starts, a line, load ends, COMPLETED."""
    run = await waiting_run(api, sessions)
    await run.begin()
    attempt = StepAttempt(step_key="load", path="load", attempt=1)
    await run.journal.step_started(run.id, attempt, inputs={})
    line = LogLine(
        level="WARN", message="zwei\nZeilen", step_key="load", step_run_id=attempt.step_run_id, metadata={"rows": 3}
    )
    await run.journal.logged(run.id, [line])
    await run.journal.step_finished(run.id, attempt, StepOutcome(status=StepStatus.COMPLETED, output={}))
    await run.finish()
    return run


async def test_everything_comes_in_one_order_and_then_the_end(run: Running) -> None:
    answer = await run.api.get(run.path)
    assert answer.status_code == 200
    events = events_of(answer.text)
    assert [event.id for event in events] == ["1", "2", "3", "4", "5", "6"]
    assert [(event.event, event.data.get("status")) for event in events] == [
        ("execution.status", "PENDING"),
        ("execution.status", "RUNNING"),
        ("step.status", "RUNNING"),
        ("log", None),
        ("step.status", "COMPLETED"),
        ("execution.status", "COMPLETED"),
    ]
    assert {event.data["executionId"] for event in events} == {str(run.id)}
    assert [event.data["seq"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert all(event.data["timestamp"].endswith("Z") for event in events)


async def test_a_line_of_the_log_is_whole(run: Running) -> None:
    line = next(event.data for event in events_of((await run.api.get(run.path)).text) if event.event == "log")
    listed = (await run.api.get(f"/executions/{run.id}/logs")).json()["data"][0]
    assert {name: line[name] for name in listed} == listed
    assert line["message"] == "zwei\nZeilen"


async def test_headers_keep_everybody_from_holding_it_back(run: Running) -> None:
    answer = await run.api.send("GET", run.path, **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Encoding" not in answer.headers
    assert answer.text.startswith("retry: 2000\n\n")
    assert "success" not in answer.text


@pytest.mark.case(35)
@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({"Last-Event-ID": "4"}, "", ["5", "6"]),
        ({}, "?lastEventId=4", ["5", "6"]),
        ({"Last-Event-ID": "5"}, "?lastEventId=2", ["6"]),
        ({"Last-Event-ID": "0"}, "?lastEventId=4", ["1", "2", "3", "4", "5", "6"]),
        ({"Last-Event-ID": "6"}, "", []),
        ({"Last-Event-ID": "9000000000000000000"}, "", []),
    ],
)
async def test_it_goes_on_where_the_client_left(
    run: Running, headers: dict[str, str], query: str, expected: list[str]
) -> None:
    answer = await run.api.send("GET", run.path + query, **headers)
    assert [event.id for event in events_of(answer.text)] == expected


@pytest.mark.parametrize("bad", ["-1", "four", "9223372036854775808", ""])
async def test_a_number_that_is_none_is_refused(run: Running, bad: str) -> None:
    assert error_of(await run.api.send("GET", run.path, **{"Last-Event-ID": bad}), 400, "VALIDATION_ERROR")
    assert error_of(await run.api.send("GET", f"{run.path}?lastEventId={bad}"), 400, "VALIDATION_ERROR")


async def test_a_long_record_comes_in_pages(api: Api, sessions: Sessions) -> None:
    run = await waiting_run(api, sessions)
    await run.begin()
    count = 2 * PAGE_ENTRIES + 7
    await run.log(*(f"line {number}" for number in range(count)))
    await run.finish()
    events = events_of((await api.get(run.path)).text)
    assert [event.id for event in events] == [str(number) for number in range(1, count + 4)]
    assert [event.data["message"] for event in events if event.event == "log"] == [f"line {n}" for n in range(count)]


async def test_a_line_that_came_after_the_end_is_still_told(run: Running) -> None:
    await run.log("late")
    assert [event.id for event in events_of((await run.api.get(run.path)).text)] == ["1", "2", "3", "4", "5", "6", "7"]


async def test_who_may_not_read_the_execution_hears_nothing(run: Running, client: httpx.AsyncClient) -> None:
    stranger = await owner(client)
    assert error_of(await stranger.get(run.path), 404, "NOT_FOUND")
    assert error_of(await stranger.post(f"/executions/{run.id}/stream-token"), 404, "NOT_FOUND")
    assert error_of(await client.get(f"/api/v1{run.path}"), 401, "UNAUTHENTICATED")
