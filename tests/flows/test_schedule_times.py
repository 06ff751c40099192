"""When Prefect starts what is scheduled, from the schedule that it is sent: once, whatever the day."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.server.schemas.schedules import CronSchedule

from flows.orchestrator import DeploymentSpec, Orchestrator, ScheduleSpec
from flows.states import Environment

pytestmark = pytest.mark.case(39)

BERLIN = "Europe/Berlin"


async def sent(schedule: ScheduleSpec) -> dict[str, Any]:
    """The rule that reaches Prefect."""
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append((request.url.path, json.loads(request.content or b"null")))
        return httpx.Response(200, json={"id": str(uuid4())})

    prefect = Orchestrator(api_url="http://prefect.localhost/api", transport=httpx.MockTransport(answer))
    environment = Environment.DEVELOPMENT
    await prefect.ensure_deployment(
        DeploymentSpec(workflow_id=uuid4(), flow_name="acme--w", environment=environment, version=1, schedule=schedule)
    )
    await prefect.aclose()
    rule: dict[str, Any] = next(body for path, body in bodies if path.endswith("/deployments/"))["schedules"][0][
        "schedule"
    ]
    return rule


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("30 2 * * *", (2026, 3, 28), ["2026-03-28T01:30", "2026-03-29T00:30", "2026-03-30T00:30"]),
        ("30 2 * * *", (2026, 10, 24), ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
        ("0 6 * * *", (2026, 3, 28), ["2026-03-28T05:00", "2026-03-29T04:00", "2026-03-30T04:00"]),
        ("0 12 29 2 *", (2026, 1, 1), ["2028-02-29T11:00", "2032-02-29T11:00"]),
    ],
)
async def test_a_day_that_lacks_or_repeats_an_hour_starts_it_once(
    cron: str, start: tuple[int, int, int], expected: list[str]
) -> None:
    rule = await sent(ScheduleSpec(cron=cron, timezone=BERLIN))
    times = await CronSchedule(**rule).get_dates(len(expected), start=datetime(*start, tzinfo=UTC))
    assert [each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") for each in times] == expected
