"""Pearson's correlation of each weather value and of the plane's age with the departure delay, over single flights.

The input holds no flights but groups of them: how many share the same value, the sum of their delays and the sum of
the squared delays. That is all the formula needs, so the result is the one over every single flight.
"""

from math import sqrt
from typing import Any


def correlation(groups: list[dict[str, Any]], name: str) -> float | None:
    """From `[{name, flights, delay_sum, delay_squares}]` without the groups that have no value; None if none varies."""
    known = [group for group in groups if group[name] is not None]
    flights = sum(group["flights"] for group in known)
    if not flights:
        return None
    mean_x = sum(group["flights"] * group[name] for group in known) / flights
    mean_y = sum(group["delay_sum"] for group in known) / flights
    spread_x = sum(group["flights"] * (group[name] - mean_x) ** 2 for group in known)
    spread_y = sum(group["delay_squares"] for group in known) - flights * mean_y**2
    together = sum((group[name] - mean_x) * (group["delay_sum"] - group["flights"] * mean_y) for group in known)
    if spread_x <= 0 or spread_y <= 0:
        return None
    return float(together / sqrt(spread_x * spread_y))


def main(inputs: dict[str, Any]) -> dict[str, Any]:
    """`{"weather": groups, "ages": groups}` to one row per factor."""
    factors = [
        ("visibility", "visib", inputs["weather"]),
        ("wind speed", "wind_speed", inputs["weather"]),
        ("precipitation", "precip", inputs["weather"]),
        ("age of the plane", "age", inputs["ages"]),
    ]
    rows = []
    for factor, name, groups in factors:
        value = correlation(groups, name)
        flights = sum(group["flights"] for group in groups if group[name] is not None)
        rows.append({"factor": factor, "correlation": value, "flights": flights})
        print(f"{factor}: {value if value is None else round(value, 4)} over {flights} flights")  # noqa: T201 # reaches the run's log
    return {"correlations": rows}
