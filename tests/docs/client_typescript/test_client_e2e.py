"""The TypeScript client drives the running stack: from registration to a result and typed errors."""

import json

import pytest

from tests.fixtures.node import CLIENT, Node
from tests.fixtures.stack import RunningStack

pytestmark = [pytest.mark.e2e]


@pytest.mark.case(11)
def test_the_journey(stack: RunningStack, node: Node) -> None:
    """Case 11: what is another tenant's is a 404, also through the client."""
    told = json.loads(node.run(CLIENT / "examples" / "journey.ts", stack.api_url))
    assert told == {
        "status": "COMPLETED",
        "outputs": {"text": "Hello, Charles"},
        "total": 1,
        "byKey": True,
        "refusal": {"status": 404, "code": "NOT_FOUND", "hasRequestId": True},
        "stale": {"status": 409, "code": "VERSION_CONFLICT", "hasRequestId": True},
    }
