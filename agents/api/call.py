"""One run of an API agent: its pages, retries and credentials, and what comes out of them."""

import asyncio
import time
from functools import partial
from typing import Any

import httpx2
import orjson

from agents.api.auth import authorised
from agents.api.body import decode, too_large
from agents.api.config import ApiConfig, OAuth2Auth
from agents.api.exchange import Answer, Exchange
from agents.api.extraction import Effort, search
from agents.api.masking import SECRET_HEADER, masking_of
from agents.api.pagination import Pages
from agents.api.request import first_request, for_page
from agents.api.retrying import Attempts, status_name, with_retries
from agents.api.tokens import TokenStore
from agents.context import AgentContext
from agents.egress.outgoing import Outgoing
from agents.egress.transport import GuardedTransport
from agents.errors import AgentError, HttpStatusFailed, OutputInvalid
from agents.result import AgentResult

EXCERPT_CHARACTERS = 500
EXCERPT_SOURCE_BYTES = 4000
PREVIEW_FROM_BYTES = 4096
PREVIEW_CHARACTERS = 1000


class Call:
    """Used once."""

    def __init__(
        self, config: ApiConfig, context: AgentContext, transport: GuardedTransport, tokens: TokenStore
    ) -> None:
        self._config = config
        self._context = context
        self._transport = transport
        self._tokens = tokens
        self._masking = masking_of(config)
        self._attempts = Attempts()
        self._effort = Effort()

    async def result(self) -> AgentResult:
        """Raises `AgentError` with every secret of the config masked in it."""
        try:
            return await self._result()
        except AgentError as error:
            raise self._masked(error) from None
        finally:
            self._effort.stop()

    async def _result(self) -> AgentResult:
        started = time.monotonic()
        answer, data = await self._pages() if self._config.pagination else await self._single()
        if self._config.extract is not None:
            data = await asyncio.to_thread(search, self._config.extract, data, "extract", self._effort)
        output = {
            "status": answer.status,
            "headers": dict(answer.headers),
            "data": data,
            "durationMs": round((time.monotonic() - started) * 1000),
            "attempts": self._attempts.made,
        }
        return AgentResult(output=output, preview=await asyncio.to_thread(_preview, output))

    async def _single(self) -> tuple[Answer, Any]:
        outgoing = first_request(self._config, self._context.idempotency_key)
        answer = await self._answer(outgoing, self._config.max_response_bytes)
        return answer, await self._decoded(answer)

    async def _pages(self) -> tuple[Answer, list[Any]]:
        """The status and headers are those of the last page."""
        assert self._config.pagination is not None
        pages = Pages(pagination=self._config.pagination, effort=self._effort)
        original = first_request(self._config, self._context.idempotency_key)
        room = self._config.max_response_bytes
        outgoing: Outgoing | None = pages.first(original)
        for page in range(1, pages.pagination.max_pages + 1):
            assert outgoing is not None
            answer = await self._answer(outgoing, room)
            room -= len(answer.body)
            data = await self._decoded(answer)
            rows = await asyncio.to_thread(pages.take, data)
            outgoing = await asyncio.to_thread(pages.next, outgoing, answer, data, page, rows)
            if outgoing is None:
                return answer, pages.rows
            if room <= 0:
                raise too_large(self._config.max_response_bytes)
            outgoing = for_page(outgoing, original, page + 1)
        self._context.log("WARN", f"stopped after {page} pages (`pagination.maxPages`); there are more")
        return answer, pages.rows

    async def _answer(self, outgoing: Outgoing, room: int) -> Answer:
        """An answer with an expected status."""
        config = self._config
        attempt = partial(self._attempt, outgoing, room)
        answer = await with_retries(attempt, config.retry, config.expects, self._attempts, self._log)
        if not config.expects(answer.status):
            raise self._status_failed(outgoing, answer)
        return answer

    async def _attempt(self, outgoing: Outgoing, room: int) -> Answer:
        auth = self._config.auth
        if not isinstance(auth, OAuth2Auth):
            return await self._exchange(None).attempt(outgoing, room)
        token = await self._token(auth)
        answer = await self._exchange(token).attempt(outgoing, room)
        if answer.status != httpx2.codes.UNAUTHORIZED:
            return answer
        self._tokens.forget(self._context.egress, auth, token)
        return await self._exchange(await self._token(auth)).attempt(outgoing, room)

    async def _token(self, auth: OAuth2Auth) -> str:
        """Redirects of a token endpoint are not followed: what is sent there is the client's secret."""
        exchange = Exchange(
            transport=self._transport,
            authorise=lambda outgoing: outgoing,
            expects=lambda _status: True,
            carries_credentials=True,
            timeout=self._config.timeout_seconds,
        )
        token = await self._tokens.get(self._context.egress, auth, exchange)
        self._masking.add(token)
        return token

    def _exchange(self, token: str | None) -> Exchange:
        config = self._config
        return Exchange(
            transport=self._transport,
            authorise=partial(authorised, auth=config.auth, token=token),
            expects=config.expects,
            carries_credentials=config.auth is not None or any(map(SECRET_HEADER.search, config.headers)),
            timeout=config.timeout_seconds,
        )

    async def _decoded(self, answer: Answer) -> Any:
        return await asyncio.to_thread(decode, answer.body, answer.headers, self._config.response_type)

    def _status_failed(self, outgoing: Outgoing, answer: Answer) -> HttpStatusFailed:
        code = f"HTTP_{answer.status // 100}XX" if answer.status >= httpx2.codes.BAD_REQUEST else None
        excerpt = answer.body[:EXCERPT_SOURCE_BYTES].decode(errors="replace")
        expected = ", ".join(map(str, self._config.expect_status))
        message = (
            f"{outgoing.label} answered {answer.status} {status_name(answer.status)}; `expectStatus` is {expected}"
        )
        body = self._masking(excerpt)[:EXCERPT_CHARACTERS]
        details = {"status": answer.status, "attempts": self._attempts.made, "body": body}
        return HttpStatusFailed(message, code=code, path="url", details=details)

    def _masked(self, error: AgentError) -> AgentError:
        details = {name: self._masking(item) if isinstance(item, str) else item for name, item in error.details.items()}
        message = self._masking(error.message)
        return type(error)(message, code=error.code, path=error.path, hint=error.hint, details=details)

    def _log(self, level: str, message: str) -> None:
        self._context.log(level, self._masking(message))


def _preview(output: dict[str, Any]) -> Any:
    """None for short data, which is its own preview. Raises `OutputInvalid` for data that no record can hold."""
    try:
        text = orjson.dumps(output["data"])
    except TypeError as error:
        raise OutputInvalid(
            f"the answer's data cannot be kept: {error}; extract a part of it", path="extract"
        ) from None
    if len(text) <= PREVIEW_FROM_BYTES:
        return None
    excerpt = text[:PREVIEW_CHARACTERS].decode(errors="ignore")
    return {"status": output["status"], "attempts": output["attempts"], "bytes": len(text), "excerpt": excerpt}
