"""Five failures within fifteen minutes lock an address for fifteen more, whether it has an account or not.

The audit log is the counter: it is written for every login anyway, survives restarts, and is shared by all API
processes. An account is named by a digest of its address, so that nothing is stored of addresses that were guessed.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from platform_api.access.scope import SystemScope
from platform_api.errors import AccountLocked
from platform_api.kit import clock
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.auth.repository import AccountLocks
from platform_api.resources.users.service import normalise_email

MAX_FAILURES = 5
WINDOW = timedelta(minutes=15)
LOCK = timedelta(minutes=15)
ACCOUNT = "account"
LOGIN = "auth.login"
FAILURE = "auth.login_failed"
LOCKED = "auth.account_locked"


class Lockout:
    """Counts the failures of one address."""

    def __init__(self, scope: SystemScope, email: str) -> None:
        self._scope = scope
        self.account_id = account_id(email)

    async def hold(self) -> None:
        """From here on attempts for the address wait for each other, so that none slips past the count."""
        await AccountLocks(self._scope.session).hold(self.account_id)

    async def check(self) -> None:
        """Raises `AccountLocked` with the seconds that are left in `Retry-After`."""
        locked_until = await self._locked_until()
        left = (locked_until - clock.now()).total_seconds() if locked_until else 0
        if left > 0:
            raise AccountLocked(
                "Too many failed logins; wait before you try again", headers={"Retry-After": str(int(left) + 1)}
            )

    async def record_failure(self, *, tenant_id: UUID | None, user_id: UUID | None) -> None:
        """Counts one, and tells of the lock when it was the last that was free; both lie in the account's tenant."""
        audit = AuditLog(self._scope, tenant_id=tenant_id, user_id=user_id)
        await audit.record(FAILURE, ACCOUNT, self.account_id)
        locked_until = await self._locked_until()
        if locked_until is not None:
            await audit.record(LOCKED, ACCOUNT, self.account_id, after={"lockedUntil": locked_until})

    async def _locked_until(self) -> datetime | None:
        """When the newest lock ends, or ended."""
        failures = []
        earliest = clock.now() - WINDOW - LOCK
        for action, at in await AuditLog(self._scope).times_since(ACCOUNT, self.account_id, earliest):
            if action == LOCKED:
                continue
            if action != FAILURE:
                break
            failures.append(at)
        if not failures or sum(at > failures[0] - WINDOW for at in failures) < MAX_FAILURES:
            return None
        return failures[0] + LOCK


def account_id(email: str) -> UUID:
    """Stands for an address in the audit log."""
    return UUID(bytes=sha256(normalise_email(email).encode()).digest()[:16])
