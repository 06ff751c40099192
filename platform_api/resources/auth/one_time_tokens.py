"""Tokens that are sent by mail: 256 random bits, good once and for a time, known to the database by their hash."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from agents.errors import Problem
from platform_api.access.scope import SystemScope
from platform_api.access.tokens import fingerprint
from platform_api.db.enums import TokenPurpose
from platform_api.db.models import OneTimeToken
from platform_api.errors import ValidationFailed
from platform_api.kit import clock
from platform_api.resources.auth.repository import OneTimeTokenRepository

LIFETIMES: Mapping[TokenPurpose, timedelta] = {
    TokenPurpose.RESET_PASSWORD: timedelta(hours=1),
    TokenPurpose.VERIFY_EMAIL: timedelta(days=1),
}
PAUSE = timedelta(minutes=1)
"""Between two mails of one purpose to one person, so that nobody's mailbox can be flooded."""


def new_token() -> str:
    """Fit for a link."""
    return secrets.token_urlsafe(32)


class OneTimeTokens:
    """The tokens of users, inside one scope."""

    def __init__(self, scope: SystemScope) -> None:
        self._rows = OneTimeTokenRepository(scope.session)

    async def issue(self, purpose: TokenPurpose, user_id: UUID) -> str | None:
        """A new token, which takes the place of earlier ones; None when the last one was sent just now."""
        expires_at = clock.now() + LIFETIMES[purpose]
        if await self._rows.expires_after(purpose, user_id, expires_at - PAUSE):
            return None
        await self.void(purpose, user_id)
        token = new_token()
        row = OneTimeToken(user_id=user_id, purpose=purpose, token_hash=fingerprint(token), expires_at=expires_at)
        await self._rows.add(row)
        return token

    async def check(self, purpose: TokenPurpose, token: str) -> None:
        """Raises `ValidationFailed` for a token that cannot be used; does not use it up."""
        if await self._rows.user_of(purpose, fingerprint(token)) is None:
            raise unusable()

    async def use(self, purpose: TokenPurpose, token: str) -> UUID:
        """Uses the token up and says whose it was. Raises `ValidationFailed`; of several at once one succeeds."""
        user_id = await self._rows.use(purpose, fingerprint(token))
        if user_id is None:
            raise unusable()
        return user_id

    async def void(self, purpose: TokenPurpose, user_id: UUID) -> None:
        """Makes the tokens that a user still has worthless."""
        await self._rows.use_all(purpose, user_id)


def unusable() -> ValidationFailed:
    """The same for every reason: the answer tells nothing about tokens."""
    message = "This token cannot be used: it is unknown, used, replaced by a newer one, or expired; ask for another"
    return ValidationFailed(message, details=[Problem(path="token", code="TOKEN_UNUSABLE", message=message)])
