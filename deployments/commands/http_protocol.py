"""uvicorn's HTTP protocol with an end to its patience: it waits without limit for headers that come slowly."""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from platform_api.kit.asgi.leaving import LEAVE

HEADER_SECONDS = 15.0
"""In which the headers of a request must arrive, from the connection's start or the request's first byte on."""


class HttpProtocol(HttpToolsProtocol):
    """Closes a connection whose headers are late. Bodies have a limit of their own (`kit.asgi.bodies`)."""

    _late: TimerHandle | None = None

    def shutdown(self) -> None:
        """The server wants to leave: what would not end by itself is asked to."""
        leave = self.app_state.get(LEAVE)
        if leave is not None:
            leave()
        super().shutdown()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The first request's time begins."""
        self.access_log = False  # ours (`kit.asgi.requests`) leaves out query strings, where stream tokens stand
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """A further request's time begins with its first byte."""
        if self._late is None and self.cycle is not None and self.cycle.response_complete:
            self._wait()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """They are here."""
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
