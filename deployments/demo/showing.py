"""What a person sees of the demo: progress per step, then the report."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

MARKS = {
    "RUNNING": "[cyan]▸[/]",
    "COMPLETED": "[green]✓[/]",
    "FAILED": "[red]✗[/]",
    "TIMEOUT": "[red]✗[/]",
    "CANCELLED": "[yellow]–[/]",
    "SKIPPED": "[dim]–[/]",
}
SETTLED = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "SKIPPED"}


class StepProgress:
    """One line whenever a step has moved on."""

    def __init__(self, console: Console, names: dict[str, str]) -> None:
        self._console = console
        self._names = names
        self._seen: dict[str, str] = {}

    def show(self, steps: list[dict[str, Any]]) -> None:
        """Says what is new in `steps`, the answer of `GET /executions/{id}/steps`."""
        for step in steps:
            key, status = step["stepKey"], step["status"]
            if self._seen.get(key) == status or status not in MARKS:
                continue
            self._seen[key] = status
            self._console.print(self._line(step), highlight=False, soft_wrap=True)

    def _line(self, step: dict[str, Any]) -> str:
        name = self._names.get(step["stepKey"], step["stepKey"])
        if step["status"] not in SETTLED:
            return f"  {MARKS[step['status']]} [dim]{escape(name)}[/]"
        duration = step.get("durationMs")
        took = "" if duration is None else f"{duration:.0f} ms"
        details = ", ".join(part for part in (rows_of(step), took) if part)
        return f"  {MARKS[step['status']]} {escape(name)}" + (f" [dim]({details})[/]" if details else "")


def rows_of(step: dict[str, Any]) -> str:
    """How many rows a step gave, where it gave a table."""
    output = step.get("output")
    rows = output.get("rows") if isinstance(output, dict) else None
    return f"{rows:,} rows" if isinstance(rows, int) else ""


def show_report(console: Console, report: dict[str, Any]) -> None:
    """The tables and the findings in plain words."""
    console.print()
    console.print(_table(report["title"], "Carrier", "name", report["rows"]))
    console.print(_table("By airport", "Airport", "origin", report["airports"]))
    console.print(_table("By visibility", "Sight", "sight", report["visibility"]))
    console.print("[bold]Findings[/]")
    for finding in report["findings"]:
        console.print(f"  • {escape(finding)}", highlight=False)


def _table(title: str, heading: str, key: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_style="bold", title_justify="left", header_style="bold")
    table.add_column(heading)
    for name in ("Flights", "Mean delay", "Over 15 min late"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            escape(str(row[key])), f"{row['flights']:,}", f"{row['mean_delay']:.1f} min", f"{row['share_late']:.1%}"
        )
    return table


def failed_steps(steps: list[dict[str, Any]]) -> tuple[str, ...]:
    """A line per failed step with its error and hint."""
    lines = []
    for step in steps:
        error = step.get("error")
        if step["status"] in ("FAILED", "TIMEOUT") and error:
            hint = f" ({error['hint']})" if error.get("hint") else ""
            lines.append(f"step {step['stepKey']}: {error.get('code', '')} {error.get('message', '')}{hint}")
    return tuple(lines)
