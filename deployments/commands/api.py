"""The API process, on the address that the settings name or on an inherited socket."""

import sys
from typing import Any

import structlog

from deployments.commands.http_protocol import HttpProtocol
from deployments.commands.serving import descriptor_argument, serve
from deployments.commands.settings import settings_or_exit
from platform_api.kit.logging import configure_logging
from platform_api.main import create_app, log_settings
from platform_api.settings import ApiSettings, Settings

log = structlog.get_logger(__name__)


def main() -> int:
    """Serves the API; exit code 2 when the settings make no working configuration.

    On an inherited socket, which is the one-command stack's on loopback, it is one process that speaks HTTP.
    """
    descriptor = descriptor_argument("Serves the REST API.")
    settings = settings_or_exit()
    own: dict[str, Any] = {}
    if descriptor is None:
        own = {"processes": settings.api.processes, **_tls(settings.api)}
        _warn(settings)
    serve(
        create_app,
        host=settings.api.host,
        port=settings.api.port,
        descriptor=descriptor,
        http=HttpProtocol,
        log_config=None,
        proxy_headers=False,  # uvicorn believes any local peer; `kit.asgi.client_address` decides by TRUSTED_PROXIES
        server_header=False,
        **own,
    )
    return 0


def _tls(api: ApiSettings) -> dict[str, Any]:
    """uvicorn's options for HTTPS; none without a certificate."""
    if api.tls_cert_file is None or api.tls_key_file is None:
        return {}
    return {
        "ssl_certfile": str(api.tls_cert_file),
        "ssl_keyfile": str(api.tls_key_file),
        "ssl_keyfile_password": api.tls_key_password.get_secret_value() if api.tls_key_password else None,
    }


def _warn(settings: Settings) -> None:
    if settings.api.processes == 1 or settings.limits.redis_url is not None:
        return
    configure_logging(log_settings(settings), application="api")
    log.warning(
        "rate_limits_per_process",
        processes=settings.api.processes,
        reason="REDIS_URL is not set, so that each process counts for itself",
    )


if __name__ == "__main__":
    sys.exit(main())
