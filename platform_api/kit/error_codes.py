"""The codes of errors, by status. Clients match on them; a new one is a new promise."""

from collections.abc import Mapping

CODES: Mapping[int, tuple[str, ...]] = {
    400: ("VALIDATION_ERROR",),
    401: ("UNAUTHENTICATED", "INVALID_CREDENTIALS", "TOKEN_EXPIRED", "TOKEN_REUSED"),
    402: ("BUDGET_EXCEEDED",),
    403: ("FORBIDDEN",),
    404: ("NOT_FOUND",),
    405: ("METHOD_NOT_ALLOWED",),
    408: ("REQUEST_TIMEOUT",),
    409: ("CONFLICT", "VERSION_CONFLICT", "INVALID_STATE"),
    413: ("PAYLOAD_TOO_LARGE",),
    415: ("UNSUPPORTED_MEDIA_TYPE",),
    416: ("RANGE_NOT_SATISFIABLE",),
    423: ("ACCOUNT_LOCKED",),
    429: ("RATE_LIMITED",),
    500: ("INTERNAL_ERROR",),
    503: ("SERVICE_UNAVAILABLE",),
}
