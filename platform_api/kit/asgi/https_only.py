"""Plain HTTP is sent to HTTPS where that is harmless, and refused where the secret has already been on the wire."""

import re

from platform_api.kit.asgi.messages import Application, Receive, ScopeMap, Send, header, send_error

PROBES = frozenset({"/health", "/api/health", "/ready", "/metrics"})
"""What balancers and monitoring ask from inside, behind the end of HTTPS."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class HttpsOnly:
    """GET and HEAD are redirected (308); everything else is refused (403), so that a client gets mended."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on what came by HTTPS."""
        if scope["type"] != "http" or scope.get("scheme") == "https" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        host = header(scope, b"host") or ""
        if scope["method"] in ("GET", "HEAD") and _HOST.fullmatch(host):
            await _redirect(scope, send, host)
            return
        await send_error(send, 403, "FORBIDDEN", "Use https://; what you sent has been readable on its way", close=True)


async def _redirect(scope: ScopeMap, send: Send, host: str) -> None:
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    location = b"https://" + host.encode() + raw_path.partition(b"?")[0] + (b"?" + query if query else b"")
    headers = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
