"""Migrations and seed, as a child process: what they import does not stay in the stack's own memory."""

import json
import time
from dataclasses import dataclass

from deployments.local.errors import ServiceFailed
from deployments.local.guard import Guard
from deployments.local.logs import RotatingLog
from deployments.local.once import run_once
from deployments.local.services import Blueprint, platform_environment, started
from deployments.local.supervisor import Reporter

NAME = "Schema and seed"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The administrator; the password only when this very start generated it. It is shown once and kept nowhere."""

    admin_email: str
    generated_password: str | None


def arguments(plan: Blueprint) -> tuple[str, ...]:
    """The command line of migrations and seed."""
    return (*started(plan.database), "deployments.commands.prepare")


async def prepare(plan: Blueprint, log: RotatingLog, guard: Guard | None, reporter: Reporter) -> Prepared:
    """Brings the database up to date as soon as it is there. Raises `ServiceFailed` with the end of the log."""
    reporter.starting(NAME)
    began = time.monotonic()
    output = await run_once(
        NAME, arguments(plan), platform_environment(plan), descriptors=(plan.database.descriptor,), log=log, guard=guard
    )
    try:
        content = json.loads(output)
        prepared = Prepared(
            admin_email=str(content["adminEmail"]), generated_password=content["generatedPassword"] or None
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceFailed(f"{NAME} gave no answer that can be read", hint=f"its log is {log.path}") from error
    reporter.ready(NAME, "", time.monotonic() - began)
    return prepared
