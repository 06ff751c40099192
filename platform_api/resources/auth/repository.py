"""Locks by which logins of one account take turns, and the tokens that are sent by mail."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.db.enums import TokenPurpose
from platform_api.db.models import OneTimeToken
from platform_api.kit import clock


class AccountLocks:
    """Locks by account, whether there is such an account or not."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hold(self, account_id: UUID) -> None:
        """Waits for the account's turn and keeps it until the transaction ends."""
        key = func.hashtextextended(f"login:{account_id}", 0)
        await self._session.execute(select(func.pg_advisory_xact_lock(key)))


class OneTimeTokenRepository:
    """Tokens by the hash of what was sent; nothing else of them is stored."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, row: OneTimeToken) -> None:
        """Stores a new token."""
        self._session.add(row)
        await self._session.flush()

    async def user_of(self, purpose: TokenPurpose, token_hash: str) -> UUID | None:
        """Whose token it is while it is good."""
        statement = select(col(OneTimeToken.user_id)).where(*_good(purpose, token_hash))
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def use(self, purpose: TokenPurpose, token_hash: str) -> UUID | None:
        """Uses the token up and says whose it was; None when it is not good, or somebody was faster."""
        statement = update(OneTimeToken).where(*_good(purpose, token_hash)).values(used_at=clock.now())
        return (await self._session.execute(statement.returning(col(OneTimeToken.user_id)))).scalar_one_or_none()

    async def use_all(self, purpose: TokenPurpose, user_id: UUID) -> None:
        """Uses up what a user still has for a purpose."""
        statement = update(OneTimeToken).where(
            col(OneTimeToken.user_id) == user_id,
            col(OneTimeToken.purpose) == purpose,
            col(OneTimeToken.used_at).is_(None),
        )
        await self._session.execute(statement.values(used_at=clock.now()))

    async def expires_after(self, purpose: TokenPurpose, user_id: UUID, instant: datetime) -> bool:
        """Whether the user has an unused one that is good for longer than until `instant`."""
        statement = select(col(OneTimeToken.id)).where(
            col(OneTimeToken.user_id) == user_id,
            col(OneTimeToken.purpose) == purpose,
            col(OneTimeToken.used_at).is_(None),
            col(OneTimeToken.expires_at) > instant,
        )
        return (await self._session.execute(statement.limit(1))).first() is not None


def _good(purpose: TokenPurpose, token_hash: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(OneTimeToken.token_hash) == token_hash,
        col(OneTimeToken.purpose) == purpose,
        col(OneTimeToken.used_at).is_(None),
        col(OneTimeToken.expires_at) > clock.now(),
    )
