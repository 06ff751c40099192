"""What the stack consists of: the command, environment and readiness of each of its processes."""

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import deployments
from deployments.local.environment import composed
from deployments.local.files import DataFolder
from deployments.local.gate import Gate
from deployments.local.ports import LOOPBACK, port_of
from deployments.local.probes import announced, answers, both
from deployments.local.process import Command

UNHURRIED = {
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT15S",
}
"""Rounds of Prefect's server that cost CPU each 5 s for what nobody waits for; who sets them otherwise is heard."""

READY_SECONDS = 120.0
"""How long a process may take until it is ready, with what it waits for."""
PACKAGED_DATA = Path(deployments.__file__).parent / "demo" / "data"
DATABASES = ("turbocat", "prefect")


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """One stack's surroundings: what it was started with, its keys, and the sockets that it listens on."""

    folder: DataFolder
    given: Mapping[str, str]
    keys: Mapping[str, str]
    api_socket: socket.socket
    prefect_socket: socket.socket | None
    """None when `PREFECT_API_URL` names a server that runs elsewhere."""
    database_url: str
    prefect_database_url: str | None = None
    database: Gate
    """Open when both databases are there."""
    schema: Gate
    """Open when migrations and seed are done."""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_url(self) -> str:
        return f"http://{LOOPBACK}:{port_of(self.api_socket)}"

    @property
    def prefect_api_url(self) -> str:
        if self.prefect_socket is None:
            return self.given["PREFECT_API_URL"].rstrip("/")
        return f"http://{LOOPBACK}:{port_of(self.prefect_socket)}/api"

    @property
    def prefect_url(self) -> str:
        """Where the UI is: beside the API."""
        return self.given.get("TURBOCAT_PREFECT_UI_URL") or self.prefect_api_url.removesuffix("/api")


def started(when: Gate) -> tuple[str, ...]:
    """The beginning of the command line of a process that loads at once and goes on when the gate is open."""
    return (sys.executable, "-m", "deployments.start", "--when", str(when.descriptor))


def platform_environment(plan: Blueprint) -> dict[str, str]:
    """The settings of API, worker and preparation."""
    roots = f"{plan.folder.data},{PACKAGED_DATA}"
    settings = {
        "DATABASE_URL": plan.database_url,
        "PREFECT_API_URL": plan.prefect_api_url,
        "TURBOCAT_PREFECT_UI_URL": plan.prefect_url,
        "PREFECT_HOME": str(plan.folder.prefect),
        "TURBOCAT_DATA_DIR": str(plan.folder.root),
        "TURBOCAT_API_HOST": LOOPBACK,
        "PORT": str(port_of(plan.api_socket)),
        "DATA_ROOTS": plan.given.get("DATA_ROOTS", roots),
    }
    return composed(plan.given, _own_keys(plan), settings, plan.extra)


def prefect_environment(plan: Blueprint) -> dict[str, str]:
    """The settings of the Prefect server; it needs no key of the platform's."""
    assert plan.prefect_database_url is not None
    settings = {
        "PREFECT_HOME": str(plan.folder.prefect),
        "PREFECT_API_URL": plan.prefect_api_url,
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": plan.prefect_database_url,
        "PREFECT_SERVER_API_AUTH_STRING": plan.keys["PREFECT_API_AUTH_STRING"],
        "PREFECT_API_AUTH_STRING": plan.keys["PREFECT_API_AUTH_STRING"],
    }
    base = {name: value for name, value in plan.given.items() if name not in ("DATABASE_URL", *plan.keys)}
    return composed(UNHURRIED, base, settings)


def api_command(plan: Blueprint) -> Command:
    """The REST API; ready when it can serve requests, whatever the state of Prefect and workers."""
    descriptor = plan.api_socket.fileno()
    return Command(
        name="API",
        arguments=(*started(plan.schema), "deployments.commands.api", "--fd", str(descriptor)),
        environment=platform_environment(plan),
        ready=answers(port_of(plan.api_socket), "/ready"),
        ready_seconds=READY_SECONDS,
        descriptors=(descriptor, plan.schema.descriptor),
    )


def prefect_command(plan: Blueprint) -> Command:
    """The Prefect server with its UI and services."""
    assert plan.prefect_socket is not None
    descriptor = plan.prefect_socket.fileno()
    return Command(
        name="Prefect",
        arguments=(*started(plan.database), "deployments.commands.prefect_server", "--fd", str(descriptor)),
        environment=prefect_environment(plan),
        ready=answers(port_of(plan.prefect_socket), "/api/health", auth=plan.keys["PREFECT_API_AUTH_STRING"]),
        ready_seconds=READY_SECONDS,
        descriptors=(descriptor, plan.database.descriptor),
    )


def worker_command(plan: Blueprint) -> Command:
    """The worker; ready when it takes runs and the API's health check sees it."""
    return Command(
        name="worker",
        arguments=(*started(plan.schema), "deployments.worker"),
        environment=platform_environment(plan),
        ready=both(announced(plan.folder.worker), answers(port_of(plan.api_socket), "/health")),
        ready_seconds=READY_SECONDS,
        probe_pause_seconds=0.3,
        grace_seconds=10.0,
        descriptors=(plan.schema.descriptor,),
    )


def _own_keys(plan: Blueprint) -> dict[str, str]:
    """The generated password belongs to the stack's own Prefect server only."""
    if plan.prefect_socket is not None:
        return dict(plan.keys)
    return {name: value for name, value in plan.keys.items() if name != "PREFECT_API_AUTH_STRING"}
