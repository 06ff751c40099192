"""The Prefect server in one process, on a socket that the stack opened.

`prefect server start` would import Prefect twice, once for its command line and once for the server that it starts,
and could not take over a socket.
"""

import sys

from fastapi import FastAPI
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

from deployments.commands.serving import descriptor_argument, serve


def application() -> FastAPI:
    """Prefect's application, told that it is the only one of this process (which saves memory)."""
    return create_app(final=True)


def main() -> int:
    """Serves Prefect's API, UI and background services."""
    descriptor = descriptor_argument("Serves the Prefect API and UI.")
    api = get_current_settings().server.api
    serve(
        application,
        host=api.host,
        port=api.port,
        descriptor=descriptor,
        timeout_keep_alive=api.keepalive_timeout,
        log_level="warning",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
