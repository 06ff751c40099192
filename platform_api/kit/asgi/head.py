"""HEAD wherever there is GET: the same answer without its body."""

import asyncio

from platform_api.kit.asgi.messages import Application, Message, Receive, ScopeMap, Send


class Head:
    """Lets the application answer a GET; to an answer that would not end by itself, the client seems to have left."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def bodiless(message: Message) -> None:
            if message["type"] != "http.response.start" or answered.is_set():
                return
            await send(message)
            await send({"type": "http.response.body", "body": b""})
            answered.set()

        async def receiving() -> Message:
            if answered.is_set():
                return {"type": "http.disconnect"}
            asked, over = asyncio.ensure_future(receive()), asyncio.ensure_future(answered.wait())
            try:
                await asyncio.wait((asked, over), return_when=asyncio.FIRST_COMPLETED)
                return asked.result() if asked.done() else {"type": "http.disconnect"}
            finally:
                asked.cancel()
                over.cancel()

        await self.app({**scope, "method": "GET"}, receiving, bodiless)
