"""The report: the carriers' ranking as rows, and what the figures say in plain words."""

from typing import Any

PHRASES = {
    "visibility": "Better visibility",
    "wind speed": "Stronger wind",
    "precipitation": "More precipitation",
    "age of the plane": "An older plane",
}
STRENGTHS = ((0.1, "next to nothing"), (0.3, "a little"), (0.5, "a good part"))


def strength(value: float) -> str:
    """What a correlation of this size means for a single flight."""
    for bound, words in STRENGTHS:
        if abs(value) < bound:
            return words
    return "most of it"


def sentence(row: dict[str, Any]) -> str:
    """One finding for one factor."""
    value = row["correlation"]
    if value is None:
        return f"Nothing can be said about {row['factor']}: it does not vary."
    more = "more" if value > 0 else "less"
    return (
        f"{PHRASES[row['factor']]} goes with {more} delay, r = {value:+.3f}: it explains {strength(value)} "
        f"({value * value:.1%} of the variance over {row['flights']:,} flights)."
    )


def verdict(correlations: list[dict[str, Any]]) -> str:
    """The answer to the workflow's question."""
    weather = [row for row in correlations if row["factor"] != "age of the plane" and row["correlation"] is not None]
    explained = max((row["correlation"] ** 2 for row in weather), default=0.0)
    if explained < 0.05:
        return f"Was it the weather? Hardly: no single weather value explains more than {explained:.1%} of the delays."
    return f"Was it the weather? In part: one weather value alone explains {explained:.1%} of the delays."


def main(inputs: dict[str, Any]) -> dict[str, Any]:
    """`{"carriers", "airports", "visibility", "correlations"}` to `{"title", "rows", "findings", …}`."""
    carriers, airports = inputs["carriers"], inputs["airports"]
    worst, best = carriers[0], carriers[-1]
    slowest = airports[0]
    foggy, clear = inputs["visibility"][0], inputs["visibility"][-1]
    flights = sum(row["flights"] for row in airports)
    late = sum(row["late_flights"] for row in airports)
    findings = [
        f"{late:,} of {flights:,} flights left more than 15 minutes late ({late / flights:.1%}).",
        f"{worst['name']} was latest: {worst['mean_delay']:.1f} min on average, {worst['share_late']:.1%} late; "
        f"{best['name']} was most punctual: {best['mean_delay']:.1f} min, {best['share_late']:.1%} late.",
        f"{slowest['origin']} was the slowest airport: {slowest['mean_delay']:.1f} min on average.",
        f"With {foggy['sight']} sight {foggy['share_late']:.1%} were late, with {clear['sight']} sight "
        f"{clear['share_late']:.1%}.",
        *(sentence(row) for row in inputs["correlations"]),
        verdict(inputs["correlations"]),
    ]
    return {
        "title": "Which New York flights were late, and was it the weather? January 2013",
        "rows": carriers,
        "airports": airports,
        "visibility": inputs["visibility"],
        "correlations": inputs["correlations"],
        "findings": findings,
    }
