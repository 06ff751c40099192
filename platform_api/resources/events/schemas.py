"""What clients send and get about events."""

from typing import Annotated, Any

from pydantic import Field

from platform_api.kit.schemas import Body, View


class EventDelivery(Body):
    """Something that has happened."""

    type: Annotated[str, Field(min_length=1, max_length=200, description="what WAIT steps name as `eventType`")]
    data: Any = None


class EventDelivered(View):
    """How many waiting steps took the event."""

    delivered: int
