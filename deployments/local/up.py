"""`turbocat up` and `turbocat down`: one stack per data folder, its signals, and what is said about it."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from deployments.local.environment import inherited
from deployments.local.errors import StackError
from deployments.local.files import DataFolder, read_json
from deployments.local.guard import Guard
from deployments.local.lock import FolderLock, holder
from deployments.local.pids import alive
from deployments.local.preparation import Prepared
from deployments.local.reporting import ConsoleReporter
from deployments.local.stack import Stack, StackOptions

LEFTOVER_SECONDS = 15.0
"""How long the remains of a killed stack may take to end."""
DOWN_SECONDS = 45.0
POLL_SECONDS = 0.1


def up(options: StackOptions, console: Console) -> int:
    """Runs the stack until it is stopped; 0 then, and 0 at once when it runs already. Raises `StackError`."""
    folder = DataFolder(options.data_dir.resolve())
    folder.create()
    lock = FolderLock(folder.lock)
    if not _acquired(lock, folder):
        _say_running(folder, console)
        return 0
    folder.state.unlink(missing_ok=True)
    guard = Guard(state_file=folder.state)
    try:
        asyncio.run(_run(options, folder, guard, console))
    finally:
        guard.dismiss()
        lock.release()
    console.print("stopped", highlight=False)
    return 0


def down(data_dir: Path, console: Console) -> int:
    """Stops the stack of the folder and returns when it is gone. Raises `StackError` when it does not go."""
    folder = DataFolder(data_dir.resolve())
    pid = holder(folder.lock)
    if pid is None:
        console.print(f"nothing runs in {escape(str(data_dir))}", highlight=False)
        return 0
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while holder(folder.lock) == pid:
        if time.monotonic() > deadline:
            raise StackError(
                f"the stack (process {pid}) has not stopped after {DOWN_SECONDS:.0f} s",
                hint=f"`kill -9 {pid}` ends it; its parts follow within seconds",
            )
        time.sleep(POLL_SECONDS)
    console.print("stopped", highlight=False)
    return 0


async def _run(options: StackOptions, folder: DataFolder, guard: Guard, console: Console) -> None:
    stop = asyncio.Event()
    reporter = ConsoleReporter(console)
    stack = Stack(options, folder=folder, given=inherited(), guard=guard, reporter=reporter)

    def on_signal() -> None:
        if stop.is_set():
            stack.kill()
            return
        stop.set()
        reporter.say("stopping … (once more to end at once)")

    def announce(state: dict[str, Any], prepared: Prepared) -> None:
        _announce(state, prepared, folder, reporter)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    await stack.run(stop, announce)


def _acquired(lock: FolderLock, folder: DataFolder) -> bool:
    """Takes the lock. Where a killed stack's guard still holds it for its remains, waits until those have ended."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while not lock.acquire():
        pid = holder(folder.lock)
        if pid is not None and alive(pid):
            return False
        if time.monotonic() > deadline:
            raise StackError(
                f"a stack that was killed in {folder.root} has not ended yet", hint="try again in a few seconds"
            )
        time.sleep(POLL_SECONDS)
    return True


def _say_running(folder: DataFolder, console: Console) -> None:
    state = read_json(folder.state)
    if state is None:
        console.print(f"a stack is starting or stopping in {escape(str(folder.root))}; nothing to do", highlight=False)
        return
    console.print(f"already running in {escape(str(folder.root))} (process {state['pid']})", highlight=False)
    console.print(f"  API         {state['apiUrl']}\n  API docs    {state['docsUrl']}", highlight=False)
    console.print(f"  Prefect UI  {state['prefectUrl']}\n  `make down` (or `turbocat down`) stops it", highlight=False)


def _announce(state: dict[str, Any], prepared: Prepared, folder: DataFolder, reporter: ConsoleReporter) -> None:
    reporter.say(f"\n[bold green]Turbocat is ready[/] [dim]({reporter.seconds:.1f} s)[/]")
    reporter.say(f"  API         {state['apiUrl']}")
    reporter.say(f"  API docs    {state['docsUrl']}")
    reporter.say(f"  Prefect UI  {state['prefectUrl']}")
    if state["prefectUser"] is not None:
        reporter.say(f"              [dim]password: PREFECT_API_AUTH_STRING in {escape(str(folder.keys))}[/]")
    if prepared.generated_password is not None:
        reporter.say(f"  Administrator  {escape(prepared.admin_email)}  {escape(prepared.generated_password)}")
        reporter.say("                 [yellow]this password is shown only once[/]")
    reporter.say(f"  Logs        {escape(str(folder.logs))}")
    reporter.say("  ctrl-C stops everything\n")
