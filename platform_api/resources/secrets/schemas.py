"""What clients send and get about secrets: names, never values."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr, StringConstraints

from platform_api.kit.schemas import Body, UtcTime, View

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100, min_length=1)]
"""As in `{{ secrets.NAME }}`."""


class SecretValue(Body):
    """The value to keep, exactly as it is sent."""

    value: SecretStr = Field(min_length=1, max_length=65_536, description="never shown again")


class SecretView(View):
    """A secret without its value."""

    name: str
    project_id: UUID | None
    created_at: UtcTime
    updated_at: UtcTime
