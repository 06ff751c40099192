"""The demo's agents and workflow as data, as a front end would send them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "programs"
FOLDER = "nycflights13"
LATE_MINUTES = 15
FEWEST_FLIGHTS = 100
"""Carriers with fewer flights are left out of the ranking: one late flight would decide it."""

NAME = "Which New York flights were late, and was it the weather?"
GROUP_TOTALS = {
    "flights": "COUNT(*)",
    "delay_sum": "SUM(dep_delay)",
    "delay_squares": "SUM(dep_delay * dep_delay)",
}
GROUP_FIGURES = {
    "flights": "COUNT(*)",
    "late_flights": "SUM(late)",
    "mean_delay": "AVG(dep_delay)",
    "share_late": "AVG(late)",
}

FLIGHTS = {
    "source": {"path": f"{FOLDER}/flights-2013-01.parquet"},
    "operations": [
        {"op": "filter", "where": "dep_delay IS NOT NULL"},
        {"op": "select", "columns": ["time_hour", "hour", "origin", "dest", "carrier", "tailnum", "dep_delay"]},
        {"op": "map", "columns": {"late": f"CASE WHEN dep_delay > {LATE_MINUTES} THEN 1 ELSE 0 END"}},
    ],
    "checks": [
        {"check": "accepted_values", "column": "origin", "values": ["EWR", "JFK", "LGA"]},
        {"check": "in_range", "column": "dep_delay", "min": -120, "max": 1800},
        {"check": "row_count", "min": 1},
    ],
}
WEATHER = {
    "source": {"path": f"{FOLDER}/weather.parquet"},
    "operations": [
        {"op": "filter", "where": "month = 1"},
        {"op": "select", "columns": ["origin", "time_hour", "visib", "wind_speed", "precip"]},
        {"op": "drop_nulls", "columns": ["visib", "wind_speed", "precip"]},
        {"op": "unique", "columns": ["origin", "time_hour"]},
    ],
    "checks": [{"check": "unique", "columns": ["origin", "time_hour"]}],
}
WITH_WEATHER = {
    "source": {"input": "flights"},
    "operations": [
        {
            "op": "join",
            "with": {"input": "weather"},
            "how": "left",
            "on": ["origin", "time_hour"],
            "validate": "m:1",
        },
        {
            "op": "map",
            "columns": {
                "sight": "CASE WHEN visib < 3 THEN 'poor' WHEN visib < 10 THEN 'fair' WHEN visib >= 10 THEN 'clear' END"
            },
        },
    ],
}
WITH_CARRIERS = {
    "source": {"input": "flights"},
    "operations": [
        {
            "op": "join",
            "with": {"path": f"{FOLDER}/airlines.parquet"},
            "how": "left",
            "on": ["carrier"],
            "validate": "m:1",
        },
        {
            "op": "join",
            "with": {"path": f"{FOLDER}/planes.parquet"},
            "how": "left",
            "on": ["tailnum"],
            "validate": "m:1",
        },
        {"op": "map", "columns": {"age": "2013 - year"}},
        {"op": "select", "columns": ["carrier", "name", "tailnum", "age", "dep_delay", "late"]},
    ],
}
BY_CARRIER = {
    "source": {"input": "flights"},
    "operations": [
        {"op": "group", "by": ["carrier", "name"], "aggregations": GROUP_FIGURES},
        {"op": "filter", "where": f"flights >= {FEWEST_FLIGHTS}"},
        {"op": "sort", "by": [{"column": "mean_delay", "descending": True}]},
    ],
    "chart": {
        "kind": "bar",
        "title": "Mean delay at departure from New York, January 2013",
        "x": "name",
        "y": "mean_delay",
        "xTitle": "",
        "yTitle": "minutes",
        "formats": ["png"],
    },
}
BY_AIRPORT = {
    "source": {"input": "flights"},
    "operations": [
        {"op": "group", "by": ["origin"], "aggregations": GROUP_FIGURES},
        {"op": "sort", "by": [{"column": "mean_delay", "descending": True}]},
    ],
}
BY_SIGHT = {
    "source": {"input": "flights"},
    "operations": [
        {"op": "drop_nulls", "columns": ["sight"]},
        {"op": "group", "by": ["sight"], "aggregations": {**GROUP_FIGURES, "visib": "MIN(visib)"}},
        {"op": "sort", "by": ["visib"]},
    ],
}
WEATHER_TOTALS = {
    "source": {"input": "flights"},
    "operations": [
        {"op": "drop_nulls", "columns": ["visib"]},
        {"op": "group", "by": ["visib", "wind_speed", "precip"], "aggregations": GROUP_TOTALS},
        {"op": "sort", "by": ["visib", "wind_speed", "precip"]},
    ],
}
AGE_TOTALS = {
    "source": {"input": "flights"},
    "operations": [
        {"op": "drop_nulls", "columns": ["age"]},
        {"op": "group", "by": ["age"], "aggregations": GROUP_TOTALS},
        {"op": "sort", "by": ["age"]},
    ],
}


def program(name: str) -> dict[str, Any]:
    """The config of a CODE agent that runs one of the demo's programs."""
    return {"language": "python", "code": (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")}


def agents() -> dict[str, dict[str, Any]]:
    """The bodies of `POST /agents`, by a key that the workflow's steps name."""
    data = {
        "flights": ("Load flights", FLIGHTS),
        "weather": ("Load weather", WEATHER),
        "with_weather": ("Join the weather", WITH_WEATHER),
        "with_carriers": ("Join carriers and planes", WITH_CARRIERS),
        "by_carrier": ("Rank carriers", BY_CARRIER),
        "by_airport": ("Rank airports", BY_AIRPORT),
        "by_sight": ("Compare visibility", BY_SIGHT),
        "weather_totals": ("Add up by weather", WEATHER_TOTALS),
        "age_totals": ("Add up by age of plane", AGE_TOTALS),
    }
    bodies = {
        key: {"name": name, "type": "DATA", "config": config, "tags": ["demo"]} for key, (name, config) in data.items()
    }
    for key, name in (("correlate", "Correlate with delay"), ("report", "Write the report")):
        bodies[key] = {"name": name, "type": "CODE", "config": program(key), "tags": ["demo"]}
    return bodies


STEPS: dict[str, dict[str, Any]] = {
    "flights": {},
    "weather": {},
    "with_weather": {"flights": "{{ flights.output }}", "weather": "{{ weather.output }}"},
    "with_carriers": {"flights": "{{ flights.output }}"},
    "by_carrier": {"flights": "{{ with_carriers.output }}"},
    "by_airport": {"flights": "{{ flights.output }}"},
    "by_sight": {"flights": "{{ with_weather.output }}"},
    "weather_totals": {"flights": "{{ with_weather.output }}"},
    "age_totals": {"flights": "{{ with_carriers.output }}"},
    "correlate": {"weather": "{{ weather_totals.output.data }}", "ages": "{{ age_totals.output.data }}"},
    "report": {
        "carriers": "{{ by_carrier.output.data }}",
        "airports": "{{ by_airport.output.data }}",
        "visibility": "{{ by_sight.output.data }}",
        "correlations": "{{ correlate.output.correlations }}",
    },
}
"""Step key, which is also its agent's key, to its inputs; the edges follow from the templates."""


def workflow(agent_ids: Mapping[str, str]) -> dict[str, Any]:
    """The body of `POST /workflows`, given the ids of the agents."""
    steps = [
        {
            "stepKey": key,
            "name": agents()[key]["name"],
            "type": "AGENT",
            "agentId": agent_ids[key],
            "inputs": inputs,
            "dependsOn": [other for other in STEPS if f"{{{{ {other}.output" in "".join(inputs.values())],
        }
        for key, inputs in STEPS.items()
    ]
    return {
        "name": NAME,
        "description": "All flights out of New York in January 2013, with the weather at the hour of departure.",
        "tags": ["demo"],
        "steps": steps,
        "output": "{{ report.output }}",
    }
