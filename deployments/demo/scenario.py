"""What a front end would do: register, create agents and a workflow, run it, follow it, and read the result."""

import secrets
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from deployments.demo.client import PlatformClient
from deployments.demo.definition import NAME, agents, workflow
from deployments.demo.errors import DemoFailed
from deployments.demo.showing import StepProgress, failed_steps

EMAIL = "demo@example.com"
CHART = "chart.png"


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """A finished run with what it has drawn (PNG)."""

    execution: dict[str, Any]
    report: dict[str, Any]
    chart: bytes | None
    password: str


async def play(client: PlatformClient, console: Console, *, email: str = EMAIL) -> DemoRun:
    """Runs the workflow once. Raises `DemoFailed` with the steps' errors when it does not complete."""
    password = f"Demo-{secrets.token_urlsafe(12)}1!"
    await client.register(email, password, "Demo")
    console.print(f"[green]✓[/] registered {email}", highlight=False)
    bodies = agents()
    ids = {key: await client.create_agent(body) for key, body in bodies.items()}
    console.print(f"[green]✓[/] created {len(ids)} agents", highlight=False)
    workflow_id = await client.create_workflow(workflow(ids))
    console.print(f"[green]✓[/] created the workflow “{NAME}”", highlight=False, soft_wrap=True)
    execution_id = await client.execute(workflow_id)
    console.print(f"[green]✓[/] started execution {execution_id}\n", highlight=False)
    progress = StepProgress(console, {key: body["name"] for key, body in bodies.items()})
    async for _, steps in client.follow(execution_id):
        progress.show(steps)
    execution, steps = await client.execution(execution_id), await client.steps(execution_id)
    if execution["status"] != "COMPLETED":
        raise _failure(execution, steps)
    chart = await client.chart(execution_id, CHART)
    return DemoRun(execution=execution, report=execution["outputs"], chart=chart, password=password)


def _failure(execution: dict[str, Any], steps: list[dict[str, Any]]) -> DemoFailed:
    error = execution.get("error") or {}
    message = f"the run ended as {execution['status']}: {error.get('code', '')} {error.get('message', '')}".strip()
    return DemoFailed(message, lines=failed_steps(steps))
