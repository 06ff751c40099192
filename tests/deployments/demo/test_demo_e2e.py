"""The demo's scenario over the whole real stack, as a front end would act."""

from typing import Any

import polars as pl
import pytest
from rich.console import Console

from deployments.demo.client import PlatformClient
from deployments.demo.definition import FEWEST_FLIGHTS, FOLDER, STEPS
from deployments.demo.scenario import play
from deployments.local.services import PACKAGED_DATA
from tests.fixtures.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def ranking() -> list[dict[str, Any]]:
    """The carriers by mean delay, computed here."""
    flights = pl.read_parquet(PACKAGED_DATA / FOLDER / "flights-2013-01.parquet").drop_nulls("dep_delay")
    carriers = pl.read_parquet(PACKAGED_DATA / FOLDER / "airlines.parquet")
    return (
        flights.join(carriers, on="carrier")
        .group_by("name")
        .agg(flights=pl.len(), mean_delay=pl.col("dep_delay").mean(), share_late=(pl.col("dep_delay") > 15).mean())
        .filter(pl.col("flights") >= FEWEST_FLIGHTS)
        .sort("mean_delay", descending=True)
        .to_dicts()
    )


async def test_the_demo_runs_through_every_layer(stack: RunningStack) -> None:
    console = Console(record=True, width=200)
    async with PlatformClient(stack.api_url) as client:
        run = await play(client, console, email="demo-e2e@example.com")
        steps = await client.steps(run.execution["id"])
    assert run.execution["status"] == "COMPLETED"
    assert run.execution["stepsCompleted"] == len(STEPS)
    assert {step["stepKey"]: step["status"] for step in steps} == dict.fromkeys(STEPS, "COMPLETED")
    assert run.execution["prefectUrl"].startswith(stack.prefect_url)
    found = [{key: row[key] for key in ("name", "flights", "mean_delay", "share_late")} for row in run.report["rows"]]
    assert found == [
        {key: pytest.approx(value) if isinstance(value, float) else value for key, value in row.items()}
        for row in ranking()
    ]
    assert run.chart is not None
    assert run.chart.startswith(b"\x89PNG")
    assert "✓ Write the report" in console.export_text()
