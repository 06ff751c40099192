"""`python -m deployments.importing FORMAT FILE …`: see `turbocat import`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deployments.importing.errors import ImportFailed
from deployments.importing.platform import Platform
from deployments.importing.wfcommons import read_wfcommons
from deployments.local.environment import inherited

READERS = {"wfcommons": read_wfcommons}
KEY_VARIABLE = "TURBOCAT_API_KEY"
DEFAULT_URL = "http://127.0.0.1:3001"


def main() -> int:
    """0 when the workflow was imported (and, with `--run`, completed), 1 otherwise."""
    options = _options()
    try:
        return _imported(options)
    except ImportFailed as error:
        if options.debug:
            raise
        _print_failure(error)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="turbocat import", description="Imports a workflow of another system.")
    parser.add_argument("format", choices=sorted(READERS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--scale", type=float, default=0.0, help="seconds to wait per recorded second")
    parser.add_argument("--print", action="store_true", dest="printed", help="print the workflow, import nothing")
    parser.add_argument("--run", action="store_true", help="run it at once and wait for its end")
    parser.add_argument("--api-url", help="where the platform answers")
    parser.add_argument("--data-dir", type=Path, default=Path(".turbocat"), help="data folder of a local stack")
    parser.add_argument("--debug", action="store_true")
    return parser.parse_args()


def _imported(options: argparse.Namespace) -> int:
    workflow = READERS[options.format](options.file, scale=options.scale)
    if options.printed:
        sys.stdout.write(json.dumps(workflow, indent=2, ensure_ascii=False) + "\n")
        return 0
    key = inherited().get(KEY_VARIABLE)
    if not key:
        scopes = "workflows:create, workflows:execute, executions:read"
        hint = f"make one with POST /api/v1/api-keys (scopes {scopes}) and export it"
        raise ImportFailed(f"{KEY_VARIABLE} is not set", hint=hint)
    console = Console()
    with Platform(options.api_url or _local_url(options.data_dir), key) as platform:
        made = platform.create(workflow)
        line = f"[green]✓[/] {escape(made['name'])}: {len(workflow['steps']):,} steps, workflow {made['id']}"
        console.print(line, highlight=False, soft_wrap=True)
        return _run(platform, made["id"], console) if options.run else 0


def _run(platform: Platform, workflow_id: str, console: Console) -> int:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("running", total=None)

        def told(execution: dict[str, Any]) -> None:
            ended = sum(execution[f"steps{how}"] for how in ("Completed", "Failed", "Skipped"))
            progress.update(bar, completed=ended, total=execution["stepsTotal"])

        ended = platform.run(workflow_id, told)
    seconds = (ended.get("durationMs") or 0) / 1000
    mark = "[green]✓[/]" if ended["status"] == "COMPLETED" else "[red]✗[/]"
    counted = f"{ended['stepsCompleted']:,} of {ended['stepsTotal']:,} steps in {seconds:.1f} s"
    console.print(f"{mark} {ended['status']}: {counted}, execution {ended['id']}", highlight=False, soft_wrap=True)
    return 0 if ended["status"] == "COMPLETED" else 1


def _local_url(data_dir: Path) -> str:
    """Of the stack that runs in the data folder, else where one listens by default."""
    try:
        return str(json.loads((data_dir / "stack.json").read_text())["apiUrl"])
    except (OSError, ValueError, KeyError):
        return DEFAULT_URL


def _print_failure(error: ImportFailed) -> None:
    console = Console(stderr=True)
    console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    for line in error.lines:
        console.print(f"  [dim]│ {escape(line)}[/]", highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"[bold]hint:[/] {escape(error.hint)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
