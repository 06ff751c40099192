"""Headers that tell browsers to trust nothing beyond the answer itself."""

from platform_api.kit.asgi.messages import Application, Receive, ScopeMap, Send, adding_headers

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
]
_HTTPS = [(b"strict-transport-security", b"max-age=31536000; includeSubDomains")]


class SecurityHeaders:
    """Adds the headers that an answer does not set itself (the docs page brings a policy of its own)."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = [*_ALWAYS, *_HTTPS] if scope.get("scheme") == "https" else _ALWAYS
        await self.app(scope, receive, adding_headers(send, headers))
