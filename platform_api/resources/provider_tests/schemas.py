"""What clients send and get about tests of LLM providers."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from flows.states import ExecutionStatus
from platform_api.kit.schemas import Body, View


class ProviderTest(Body):
    """What a provider is asked."""

    model: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = Field(
        default=None, description="the first that the provider is known to have when left out"
    )


class ProviderTestView(View):
    """How the test of a provider went; while `status` is PENDING or RUNNING the rest is not there yet."""

    execution_id: UUID
    status: ExecutionStatus
    ok: bool | None = Field(description="whether it answered; null until the test is over")
    latency_ms: int | None = Field(description="from the question to the whole answer")
    model: str | None = Field(description="which was asked")
    models: list[str] | None = Field(description="which the provider says that it has; null when it has no such list")
    answer: str | None
    total_cost: float | None = Field(description="USD; null when the model's price is not known")
    error: dict[str, Any] | None = Field(description="`code`, `message` and `hint`, which says what to change")
