"""The demo's figures against values computed here with plain Polars, without any part of the platform."""

import asyncio
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.context import AgentContext
from agents.registry import executors
from agents.spec import AgentSpec, AgentType, Limits
from agents.validation import config_problems
from deployments.demo.definition import FEWEST_FLIGHTS, FOLDER, LATE_MINUTES, STEPS, agents, workflow
from deployments.demo.programs.correlate import correlation
from deployments.demo.programs.report import main as write_report
from deployments.local.services import PACKAGED_DATA
from platform_api.kit.result_store import LocalResultStore

DATA = PACKAGED_DATA / FOLDER
REFERENCE = re.compile(r"\{\{ (\w+)\.output(?:\.(\w+))? \}\}")


def filled(template: str, outputs: dict[str, Any]) -> Any:
    """The demo's templates are whole values only."""
    match = REFERENCE.fullmatch(template)
    assert match is not None
    output = outputs[match[1]]
    return output if match[2] is None else output[match[2]]


@pytest.fixture(scope="module")
def results_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def outputs(results_folder: Path) -> dict[str, Any]:
    """Every step's output, its agent run by its real executor."""
    return asyncio.run(run_all(results_folder))


async def run_all(results_folder: Path) -> dict[str, Any]:
    context = AgentContext(
        limits=Limits(timeout_seconds=60),
        log=lambda level, message, **metadata: None,
        datasets=LocalResultStore(results_folder),
        idempotency_key="demo",
        data_roots=(PACKAGED_DATA,),
    )
    bodies, running, found = agents(), executors(), {}
    for key, inputs in STEPS.items():
        body = bodies[key]
        spec = AgentSpec(id=key, version=1, name=body["name"], type=body["type"], config=body["config"])
        given = {name: filled(template, found) for name, template in inputs.items()}
        found[key] = (await running[AgentType(body["type"])].run(spec, given, context)).output
    for executor in running.values():
        await executor.aclose()
    return found


@pytest.fixture(scope="module")
def expected() -> pl.DataFrame:
    """Each departed flight of January with its weather, carrier and plane, put together independently."""
    flights = pl.read_parquet(DATA / "flights-2013-01.parquet").filter(pl.col("dep_delay").is_not_null())
    weather = pl.read_parquet(DATA / "weather.parquet").group_by("origin", "time_hour").first()
    planes = pl.read_parquet(DATA / "planes.parquet").select("tailnum", age=2013 - pl.col("year"))
    return (
        flights.join(
            weather.select("origin", "time_hour", "visib", "wind_speed", "precip"),
            on=["origin", "time_hour"],
            how="left",
        )
        .join(pl.read_parquet(DATA / "airlines.parquet"), on="carrier", how="left")
        .join(planes, on="tailnum", how="left")
        .with_columns(late=pl.col("dep_delay") > LATE_MINUTES)
    )


def figures(frame: pl.DataFrame, *by: str) -> list[dict[str, Any]]:
    return (
        frame.group_by(by)
        .agg(
            flights=pl.len(),
            late_flights=pl.col("late").sum(),
            mean_delay=pl.col("dep_delay").mean(),
            share_late=pl.col("late").mean(),
        )
        .sort("mean_delay", descending=True)
        .to_dicts()
    )


def approximately(rows: list[dict[str, Any]]) -> list[Any]:
    return [
        {key: pytest.approx(value) if isinstance(value, float) else value for key, value in row.items()} for row in rows
    ]


def test_every_agent_of_the_demo_would_be_saved() -> None:
    assert [config_problems(AgentType(body["type"]), body["config"]) for body in agents().values()] == [
        [] for _ in agents()
    ]


def test_independent_steps_depend_on_nothing_they_do_not_read() -> None:
    steps = {step["stepKey"]: step["dependsOn"] for step in workflow({key: key for key in agents()})["steps"]}
    assert set(steps) == set(agents())
    assert steps["flights"] == steps["weather"] == []
    assert steps["with_weather"] == ["flights", "weather"]
    assert steps["report"] == ["by_carrier", "by_airport", "by_sight", "correlate"]


def test_no_flight_is_lost_or_doubled_by_a_join(outputs: dict[str, Any], expected: pl.DataFrame) -> None:
    assert expected.height == 26_483
    assert [outputs[key]["rows"] for key in ("flights", "with_weather", "with_carriers")] == [expected.height] * 3


def test_the_ranking_of_carriers(outputs: dict[str, Any], expected: pl.DataFrame) -> None:
    ranking = [row for row in figures(expected, "carrier", "name") if row["flights"] >= FEWEST_FLIGHTS]
    assert len(ranking) > 5
    assert outputs["report"]["rows"] == approximately(ranking)


def test_the_airports(outputs: dict[str, Any], expected: pl.DataFrame) -> None:
    assert outputs["report"]["airports"] == approximately(figures(expected, "origin"))


def test_the_visibility(outputs: dict[str, Any], expected: pl.DataFrame) -> None:
    known = expected.filter(pl.col("visib").is_not_null())
    sight = (
        pl.when(pl.col("visib") < 3).then(pl.lit("poor")).when(pl.col("visib") < 10).then(pl.lit("fair"))
    ).otherwise(pl.lit("clear"))
    by_sight = {row["sight"]: row for row in figures(known.with_columns(sight=sight), "sight")}
    found = [{key: row[key] for key in by_sight["poor"]} for row in outputs["report"]["visibility"]]
    assert found == approximately([by_sight[name] for name in ("poor", "fair", "clear")])


@pytest.mark.parametrize(
    ("factor", "column"),
    [("visibility", "visib"), ("wind speed", "wind_speed"), ("precipitation", "precip"), ("age of the plane", "age")],
)
def test_the_correlations(outputs: dict[str, Any], expected: pl.DataFrame, factor: str, column: str) -> None:
    known = expected.filter(pl.col(column).is_not_null())
    row = next(row for row in outputs["report"]["correlations"] if row["factor"] == factor)
    assert row["flights"] == known.height
    assert row["correlation"] == pytest.approx(known.select(pl.corr(column, "dep_delay")).item(), rel=1e-9)


def test_the_findings_say_the_figures(outputs: dict[str, Any], expected: pl.DataFrame) -> None:
    report = outputs["report"]
    late = int(expected["late"].sum())
    assert f"{late:,} of {expected.height:,} flights" in report["findings"][0]
    assert report["rows"][0]["name"] in report["findings"][1]
    assert report["findings"][-1].startswith("Was it the weather? Hardly")


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [{"x": None, "flights": 5, "delay_sum": 5, "delay_squares": 5}],
        [{"x": 1.0, "flights": 3, "delay_sum": 6, "delay_squares": 20}],
        [
            {"x": 1.0, "flights": 1, "delay_sum": 2, "delay_squares": 4},
            {"x": 2.0, "flights": 1, "delay_sum": 2, "delay_squares": 4},
        ],
    ],
)
def test_where_nothing_varies_there_is_no_correlation(groups: list[dict[str, Any]]) -> None:
    assert correlation(groups, "x") is None


def test_a_report_without_weather_still_has_an_answer() -> None:
    row = {"name": "A", "origin": "JFK", "sight": "fair", "flights": 2, "late_flights": 1, "mean_delay": 1.0}
    row["share_late"] = 0.5
    nothing = [{"factor": "visibility", "correlation": None, "flights": 0}]
    strong = [{"factor": "wind speed", "correlation": 0.6, "flights": 2}]
    inputs = {"carriers": [row], "airports": [row], "visibility": [row]}
    assert "does not vary" in write_report({**inputs, "correlations": nothing})["findings"][4]
    assert "In part" in write_report({**inputs, "correlations": strong})["findings"][-1]
