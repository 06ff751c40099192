"""`turbocat doctor`: what was found on this machine, and what to do about each failing point."""

import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deployments.local.doctor import Finding, examine
from deployments.local.files import DataFolder

DEFAULT_FOLDER = ".turbocat"


def main() -> int:
    """Exit code 1 when a check has failed."""
    folder = DataFolder(Path(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_FOLDER).resolve())
    findings = asyncio.run(examine(folder))
    show(findings, Console())
    return 1 if any(finding.failed for finding in findings) else 0


def show(findings: list[Finding], console: Console) -> None:
    """One line per check, and one more with the advice where there is any."""
    for finding in findings:
        mark = "[red]✗[/]" if finding.failed else "[yellow]![/]" if finding.advice else "[green]✓[/]"
        console.print(f"{mark} {finding.name:<14} {escape(finding.detail)}", highlight=False, soft_wrap=True)
        if finding.advice:
            console.print(f"  {'':<14} [bold]→[/] {escape(finding.advice)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
