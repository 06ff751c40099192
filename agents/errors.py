"""How an agent's run can fail.

    AgentError
    ├── ConfigInvalid      CONFIG_INVALID     the agent's config does not fit its kind
    ├── InputInvalid       INPUT_INVALID      the step handed over something the agent does not take
    ├── OutputInvalid      OUTPUT_INVALID     the output does not fit `outputSchema`
    ├── AgentTimeout       TIMEOUT            stopped at its time limit
    ├── LimitExceeded      MEMORY_LIMIT, OUTPUT_LIMIT, CPU_LIMIT, PROCESS_LIMIT, DISK_LIMIT, RESPONSE_TOO_LARGE
    ├── EgressRefused      EGRESS_REFUSED     an address that outgoing calls may not reach
    ├── ConnectionFailed   CONNECTION_ERROR   no answer could be had
    ├── HttpStatusFailed   HTTP_4XX, HTTP_5XX an answer with a status that was not expected
    ├── DataFailed         DATA_ERROR         a data operation failed; `path` names it (`operations[3]`)
    ├── BudgetExceeded     BUDGET_EXCEEDED    a limit on tokens or cost of agent, workflow or project
    ├── ModelFailed        MODEL_ERROR, NO_PROVIDER, PROVIDER_UNAVAILABLE, PROVIDER_REFUSED, PRICE_UNKNOWN,
    │                      MODEL_REFUSED, TOOL_ROUNDS
    │                                         no model gave an answer that can be used
    ├── StorageFailed      STORAGE_FULL, STORAGE_ERROR
    │                                         a result could not be kept on this machine's disk
    ├── SandboxUnavailable SANDBOX_UNAVAILABLE no sandbox for user code (`agents.code.backend`)
    └── CodeFailed         CODE_ERROR         user code raised or ended without a result

Each message says what to change; `path` points into the agent's config or input. Codes are stable: clients and
`retryOn` match on them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """One thing wrong with a document: where (`config.operations[2].by`), which rule, and what to change."""

    model_config = ConfigDict(frozen=True)

    path: str
    code: str
    message: str

    def under(self, prefix: str) -> "Problem":
        """The same problem seen from the document that contains this one."""
        return self.model_copy(update={"path": f"{prefix}.{self.path}" if self.path else prefix})


class AgentError(Exception):
    """The root: raise a subclass where one fits; this one with a `code` of its own otherwise."""

    default_code: ClassVar[str] = "AGENT_ERROR"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        path: str | None = None,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.path = path
        self.hint = hint
        self.details = dict(details or {})


class ConfigInvalid(AgentError):
    """The config became invalid only at run time (after its templates were filled in)."""

    default_code = "CONFIG_INVALID"


class InputInvalid(AgentError):
    """The inputs do not fit the agent's `inputSchema` or lack what its config names."""

    default_code = "INPUT_INVALID"


class OutputInvalid(AgentError):
    """The output does not fit `outputSchema`, or is no JSON."""

    default_code = "OUTPUT_INVALID"


class AgentTimeout(AgentError):
    """A wall-clock limit was reached and the work was stopped."""

    default_code = "TIMEOUT"


class LimitExceeded(AgentError):
    """A resource limit other than time was reached; always raised with the code of that limit."""

    default_code = "LIMIT_EXCEEDED"


class EgressRefused(AgentError):
    """The egress guard refused an address before a connection was made."""

    default_code = "EGRESS_REFUSED"


class ConnectionFailed(AgentError):
    """The other side could not be reached, or the connection broke."""

    default_code = "CONNECTION_ERROR"


class HttpStatusFailed(AgentError):
    """The other side answered with a status outside `expectStatus`; always raised with `HTTP_4XX` or `HTTP_5XX`."""

    default_code = "HTTP_ERROR"


class DataFailed(AgentError):
    """A data operation failed on the data that it met."""

    default_code = "DATA_ERROR"


class CodeFailed(AgentError):
    """User code raised, exited non-zero, or returned nothing that can be read."""

    default_code = "CODE_ERROR"


class StorageFailed(AgentError):
    """What was made could not be written: the disk is full, or fails. The same step succeeds once there is room."""

    default_code = "STORAGE_ERROR"


class BudgetExceeded(AgentError):
    """A limit on tokens or cost was reached, or would be by the call that was to be made."""

    default_code = "BUDGET_EXCEEDED"


class ModelFailed(AgentError):
    """No model gave an answer, or none that can be used; raised with the code that says why."""

    default_code = "MODEL_ERROR"
