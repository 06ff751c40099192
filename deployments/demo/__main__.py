"""`python -m deployments.demo [--keep] [--debug]`: see `turbocat demo`."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from deployments.demo.client import PlatformClient
from deployments.demo.errors import DemoFailed
from deployments.demo.scenario import EMAIL, DemoRun, play
from deployments.demo.showing import show_report
from deployments.demo.stack_process import START_SECONDS, StackProcess

INTERRUPTED = 130


def main() -> int:
    """0 when the report was shown, 1 when something failed, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(prog="turbocat demo", description="Runs a real data pipeline.")
    parser.add_argument("--keep", action="store_true", help="leave the stack running")
    parser.add_argument("--debug", action="store_true", help="show a traceback where something fails")
    options = parser.parse_args()
    console = Console()
    data_dir = Path(tempfile.mkdtemp(prefix="turbocat-demo-"))
    stack = StackProcess.beneath(data_dir, keep=options.keep)
    keep_folder = False
    try:
        asyncio.run(_interruptible(_demo(stack, console, keep=options.keep)))
        keep_folder = options.keep
    except DemoFailed as error:
        keep_folder = options.debug
        if options.debug:
            raise
        _print_failure(error)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted", highlight=False)
        return INTERRUPTED
    finally:
        stack.release()
        if not keep_folder:
            shutil.rmtree(data_dir, ignore_errors=True)
    return 0


async def _interruptible(work: Any) -> None:
    """SIGTERM and SIGHUP end the demo as ctrl-C does."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await task


async def _demo(stack: StackProcess, console: Console, *, keep: bool) -> None:
    kept = False
    try:
        began = time.monotonic()
        state = await _started(stack, console)
        ready = time.monotonic()
        async with PlatformClient(state["apiUrl"]) as client:
            run = await play(client, console)
        show_report(console, run.report)
        _print_chart(console, run)
        _print_places(console, state, run)
        _print_times(console, run, set_up=ready - began, total=time.monotonic() - began)
        kept = keep
        if keep:
            _print_kept(console, stack, state, run)
    finally:
        if not kept:
            await stack.stop()


async def _started(stack: StackProcess, console: Console) -> dict[str, Any]:
    """Starts the stack and passes on what it says, up to its own closing words."""
    console.print("[bold]Starting Turbocat in a temporary folder[/]", highlight=False)
    await stack.start()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        state = await stack.ready()
        for line in stack.news():
            if line.startswith(("✓", "!")):
                console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
        if state is not None:
            console.print()
            return state
    raise DemoFailed(f"the stack was not ready after {START_SECONDS:.0f} s", lines=tuple(stack.news()))


def _print_places(console: Console, state: dict[str, Any], run: DemoRun) -> None:
    by_rest = f"{state['apiUrl']}/api/v1/executions/{run.execution['id']}"
    console.print("\n[bold]Where the run is[/]")
    console.print(f"  Prefect UI  {run.execution['prefectUrl']}", highlight=False, soft_wrap=True)
    console.print(f"  REST        {by_rest}\n", highlight=False, soft_wrap=True)


def _print_chart(console: Console, run: DemoRun) -> None:
    """It outlasts the demo, to be looked at."""
    if run.chart is None:
        return
    place = Path(tempfile.gettempdir()) / "turbocat-demo-chart.png"
    place.write_bytes(run.chart)
    console.print("\n[bold]Chart of the carriers[/]")
    console.print(f"  {place}", highlight=False, soft_wrap=True)


def _print_times(console: Console, run: DemoRun, *, set_up: float, total: float) -> None:
    seconds = (run.execution.get("durationMs") or 0) / 1000
    console.print(f"[bold]It took[/]  set-up {set_up:.1f} s, run {seconds:.1f} s, total {total:.1f} s", highlight=False)


def _print_kept(console: Console, stack: StackProcess, state: dict[str, Any], run: DemoRun) -> None:
    root = stack.folder.root
    console.print("\n[bold]The stack keeps running[/]", highlight=False)
    console.print(f"  API docs    {state['docsUrl']}", highlight=False, soft_wrap=True)
    console.print(f"  Log in as   {EMAIL}  {escape(run.password)}", highlight=False, soft_wrap=True)
    console.print(
        f"  Prefect UI  password: PREFECT_API_AUTH_STRING in {stack.folder.keys}", highlight=False, soft_wrap=True
    )
    console.print(f'  Stop it     make down ARGS="--data-dir {root}"', highlight=False, soft_wrap=True)


def _print_failure(error: DemoFailed) -> None:
    console = Console(stderr=True)
    console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    for line in error.lines:
        console.print(f"  [dim]│[/] {escape(line)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
