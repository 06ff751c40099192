"""What a request can fail with. Services raise these; `platform_api.problems` turns them into the error envelope.

    PlatformError
    ├── ValidationFailed      400 VALIDATION_ERROR     the payload; carries details with paths
    ├── Unauthenticated       401 UNAUTHENTICATED      no or unusable credentials
    │   ├── InvalidCredentials    INVALID_CREDENTIALS
    │   ├── TokenExpired          TOKEN_EXPIRED
    │   └── TokenReused           TOKEN_REUSED
    ├── BudgetExceeded        402 BUDGET_EXCEEDED
    ├── Forbidden             403 FORBIDDEN            known to exist, not allowed
    ├── NotFound              404 NOT_FOUND            absent, deleted, or of another tenant
    ├── Conflict              409 CONFLICT             clashes with what is stored
    │   ├── VersionConflict       VERSION_CONFLICT     somebody else changed it in between
    │   └── InvalidState          INVALID_STATE        the resource's status does not allow it
    ├── RangeNotSatisfiable   416 RANGE_NOT_SATISFIABLE  a span of bytes behind a file's end
    ├── AccountLocked         423 ACCOUNT_LOCKED
    ├── RateLimited           429 RATE_LIMITED
    └── ServiceUnavailable    503 SERVICE_UNAVAILABLE

`IllegalMove` is no answer to a request: a writer of run records met a status that does not allow its move.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agents.errors import Problem


class PlatformError(Exception):
    """The root: `status` and `code` are part of the contract, the message says what to change."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self, message: str, *, details: Sequence[Problem] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})


class ValidationFailed(PlatformError):
    """The payload is wrong; `details` names each place."""

    status = 400
    code = "VALIDATION_ERROR"


class Unauthenticated(PlatformError):
    """There are no credentials, or none that can be used."""

    status = 401
    code = "UNAUTHENTICATED"


class InvalidCredentials(Unauthenticated):
    """E-mail and password do not belong together."""

    code = "INVALID_CREDENTIALS"


class TokenExpired(Unauthenticated):
    """The token was good and is over."""

    code = "TOKEN_EXPIRED"


class TokenReused(Unauthenticated):
    """A rotated refresh token came back; its session family is revoked."""

    code = "TOKEN_REUSED"


class BudgetExceeded(PlatformError):
    """A limit on tokens or cost does not allow the call."""

    status = 402
    code = "BUDGET_EXCEEDED"


class Forbidden(PlatformError):
    """The caller may know of the resource, but not do this."""

    status = 403
    code = "FORBIDDEN"


class NotFound(PlatformError):
    """Absent, deleted, or of another tenant: all the same to the caller."""

    status = 404
    code = "NOT_FOUND"


class Conflict(PlatformError):
    """Clashes with what is stored."""

    status = 409
    code = "CONFLICT"


class VersionConflict(Conflict):
    """The version that the caller saw is not the newest."""

    code = "VERSION_CONFLICT"


class InvalidState(Conflict):
    """The resource's status does not allow the call."""

    code = "INVALID_STATE"


class RangeNotSatisfiable(PlatformError):
    """The span of bytes that was asked for lies behind the file's end; `Content-Range` says how long it is."""

    status = 416
    code = "RANGE_NOT_SATISFIABLE"


class AccountLocked(PlatformError):
    """Too many failed logins; the header `Retry-After` says how long."""

    status = 423
    code = "ACCOUNT_LOCKED"


class RateLimited(PlatformError):
    """Too many calls; the header `Retry-After` says how long."""

    status = 429
    code = "RATE_LIMITED"


class ServiceUnavailable(PlatformError):
    """Something that the call needs cannot be reached now."""

    status = 503
    code = "SERVICE_UNAVAILABLE"


class IllegalMove(Exception):
    """A status change that the tables of `flows.states` do not allow; nothing was written."""

    def __init__(self, what: str, current: str, wanted: str) -> None:
        super().__init__(f"{what} is {current}; {wanted} may not follow")
        self.current = current
        self.wanted = wanted


class TakenOver(IllegalMove):
    """A write of a process that was thought dead and whose run another one drives by now; nothing was written."""
