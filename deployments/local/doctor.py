"""Checks of this machine. Each says what it found, and what to do when that will not work."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from agents.code.backend import SandboxUnavailable
from agents.code.backends import selection
from agents.code.selection import SandboxChoice
from deployments.local.errors import StackError
from deployments.local.files import DataFolder, read_json
from deployments.local.keys import GENERATORS
from deployments.local.lock import holder
from deployments.local.ports import listen
from deployments.local.postgres import EmbeddedPostgres, PostgresFailed
from deployments.local.probes import http_json, http_status
from platform_api.settings import SettingsInvalid, load_run_settings, load_settings

MINIMUM_PYTHON = (3, 11)
GIB = 1024**3
MINIMUM_MEMORY_BYTES = GIB
MINIMUM_DISK_BYTES = GIB
SANDBOX_SECONDS = 60.0
SANDBOX_ADVICE = "allow user namespaces, or start Docker; until then CODE agents are refused"
PORTS = ((3001, "--api-port"), (4200, "--prefect-port"))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found. `advice` is empty when all is well; a warning does not count as a failure."""

    name: str
    detail: str
    advice: str = ""
    warning: bool = False

    @property
    def failed(self) -> bool:
        return bool(self.advice) and not self.warning


Check = Callable[[DataFolder], Awaitable[Finding]]


async def examine(folder: DataFolder, checks: tuple[Check, ...] | None = None) -> list[Finding]:
    """Runs the checks one after another, all of them."""
    return [await check(folder) for check in (checks or CHECKS)]


async def check_python(folder: DataFolder) -> Finding:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    advice = "" if sys.version_info >= MINIMUM_PYTHON else "install Python 3.11 or newer and make the environment again"
    return Finding(name="Python", detail=version, advice=advice)


async def check_memory(folder: DataFolder) -> Finding:
    """What is free for the stack, which takes about 700 MiB."""
    available = psutil.virtual_memory().available
    advice = "" if available >= MINIMUM_MEMORY_BYTES else "the stack needs about 1 GiB; close other programs"
    return Finding(name="Memory", detail=f"{available / GIB:.1f} GiB available", advice=advice)


async def check_folder(folder: DataFolder) -> Finding:
    """Whether the data folder, or the one that it will be made in, can be written and has room."""
    place = next(path for path in (folder.root, *folder.root.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        advice = "choose another one with `--data-dir PATH`"
        return Finding(name="Data folder", detail=f"{folder.root}: {error.strerror}", advice=advice)
    advice = "" if free >= MINIMUM_DISK_BYTES else "make room, or choose another disk with `--data-dir PATH`"
    return Finding(name="Data folder", detail=f"{folder.root}, {free / GIB:.0f} GiB free", advice=advice)


async def check_postgres(folder: DataFolder) -> Finding:
    """Starts the embedded server on a folder of its own and stops it."""
    with tempfile.TemporaryDirectory(prefix="turbocat-doctor-") as temporary:
        cluster = EmbeddedPostgres(Path(temporary) / "postgres", durable=False)
        try:
            await cluster.start()
            await cluster.ensure_database("doctor")
        except (PostgresFailed, OSError) as error:
            advice = "follow the message, or point DATABASE_URL at a server of your own"
            return Finding(name="PostgreSQL", detail=str(error), advice=advice)
        finally:
            await cluster.stop()
    return Finding(name="PostgreSQL", detail="the embedded server starts")


async def check_ports(folder: DataFolder) -> Finding:
    """Whether the usual ports are free, or taken by the stack of this very folder."""
    if holder(folder.lock) is not None:
        return Finding(name="Ports", detail="in use by the running stack")
    taken = []
    for port, option in PORTS:
        try:
            listen(port, option=option).close()
        except StackError as error:
            taken.append(error)
    if not taken:
        return Finding(name="Ports", detail=" and ".join(str(port) for port, _ in PORTS) + " are free")
    advice = "; ".join(error.hint for error in taken)
    return Finding(name="Ports", detail="; ".join(error.message for error in taken), advice=advice)


async def check_settings(folder: DataFolder) -> Finding:
    """The environment's variables; outside production the stack supplies the ones that are missing."""
    try:
        settings = load_settings()
    except SettingsInvalid as error:
        supplied = {f"{name}: is not set" for name in (*GENERATORS, "DATABASE_URL")}
        wrong = [line for line in str(error).splitlines() if line not in supplied]
        if not wrong:
            return Finding(name="Settings", detail="`turbocat up` supplies what is not set")
        return Finding(name="Settings", detail="; ".join(wrong), advice="correct or unset these variables")
    return Finding(name="Settings", detail=f"complete, environment {settings.environment}")


async def check_sandbox(folder: DataFolder) -> Finding:
    """Tries the sandboxes of CODE agents as a worker does, with the setting that it would find."""
    try:
        runs = load_run_settings()
    except SettingsInvalid as error:
        detail = f"not tried, since it is not known which one is wanted: {'; '.join(str(error).splitlines())}"
        return Finding(name="Sandbox", detail=detail, advice="correct or unset these variables")
    sandbox = selection(runs.code_sandbox, runs.code_engine)
    try:
        async with asyncio.timeout(SANDBOX_SECONDS):
            backend = await sandbox.backend()
    except (SandboxUnavailable, TimeoutError) as error:
        return Finding(name="Sandbox", detail=str(error) or "no answer in time", advice=SANDBOX_ADVICE)
    finally:
        await sandbox.aclose()
    passed_over = [f"{name} not used ({probe.reason})" for name, probe in sandbox.probes.items() if not probe.available]
    languages = " and ".join(sorted(sandbox.probes[backend.name].languages))
    detail = "; ".join([f"{backend.name}, runs {languages}", *passed_over])
    if not backend.safe:
        advice = "set CODE_SANDBOX=auto: now CODE agents can do whatever the worker's user can"
        return Finding(name="Sandbox", detail=detail, advice=advice, warning=True)
    return Finding(name="Sandbox", detail=detail)


async def check_running_stack(folder: DataFolder) -> Finding:
    """The health of the stack of this folder, if there is one."""
    state = read_json(folder.state)
    if holder(folder.lock) is None or state is None:
        return Finding(name="Running stack", detail=f"none in {folder.root}")
    port = int(state["apiUrl"].rsplit(":", 1)[1])
    status = await http_status(port, "/health", seconds=10.0)
    if status == 200:
        return _healthy(state["apiUrl"], await http_json(port, "/health", seconds=10.0))
    detail = "its API gives no answer" if status is None else f"{state['apiUrl']}/health answers {status}"
    return Finding(name="Running stack", detail=detail, advice=f"see that page and the logs in {folder.logs}")


def _healthy(url: str, health: Any) -> Finding:
    """With the sandboxes that its workers have told of; one without is a warning."""
    try:
        sandboxes: dict[str, int] = dict(health["checks"]["workers"]["codeSandboxes"] or {})
    except (KeyError, TypeError):
        sandboxes = {}
    told = ", ".join(f"{name} ({count})" for name, count in sorted(sandboxes.items()))
    detail = f"healthy at {url}" + (f", sandboxes of its workers: {told}" if told else "")
    if sandboxes.keys() & {"none", SandboxChoice.UNSAFE_LOCAL.value}:
        advice = "see the log of the worker: CODE agents are refused (none), or run unprotected (unsafe-local)"
        return Finding(name="Running stack", detail=detail, advice=advice, warning=True)
    return Finding(name="Running stack", detail=detail)


CHECKS: tuple[Check, ...] = (
    check_python,
    check_memory,
    check_folder,
    check_settings,
    check_ports,
    check_postgres,
    check_sandbox,
    check_running_stack,
)
