"""What a person sees at the terminal while the stack starts, runs and stops."""

import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from deployments.local.errors import ServiceFailed, StackError


class ConsoleReporter:
    """One line per thing that happened; on a terminal also a moving line with what is still starting."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._starting: list[str] = []
        self._status: Status | None = None

    def starting(self, name: str) -> None:
        self._starting.append(name)
        self._refresh()

    def ready(self, name: str, detail: str, seconds: float) -> None:
        label = f"{name} {detail}" if detail else name
        self._line(f"[green]✓[/] {label} ready [dim]({seconds:.1f} s)[/]")
        self._settled(name)

    def died(self, name: str, how: str, pause_seconds: float) -> None:
        self._line(f"[yellow]![/] {name} {escape(how)}; starting it again in {pause_seconds:.1f} s")

    def back(self, name: str, seconds: float) -> None:
        self._line(f"[green]✓[/] {name} is back [dim]({seconds:.1f} s)[/]")

    def stopped(self, name: str, seconds: float) -> None:
        self._settled(name)
        self._line(f"[dim]  {name} stopped ({seconds:.1f} s)[/]")

    def say(self, line: str) -> None:
        """A line of rich markup."""
        self._line(line)

    def settle(self) -> None:
        """Takes the moving line away."""
        self._starting.clear()
        self._refresh()

    @property
    def seconds(self) -> float:
        """Since this reporter was made."""
        return time.monotonic() - self._began

    def _settled(self, name: str) -> None:
        if name in self._starting:
            self._starting.remove(name)
        self._refresh()

    def _refresh(self) -> None:
        if not self._console.is_terminal:
            return
        if not self._starting:
            if self._status is not None:
                self._status.stop()
                self._status = None
            return
        text = f"starting {', '.join(self._starting)} …"
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def _line(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def print_error(console: Console, error: StackError) -> None:
    """One line with what is wrong, one with what to do, and the log's last lines where there is a log."""
    console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    if isinstance(error, ServiceFailed) and error.lines:
        for line in error.lines:
            console.print(f"  [dim]│ {escape(line)}[/]", highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"[bold]hint:[/] {escape(error.hint)}", highlight=False, soft_wrap=True)
