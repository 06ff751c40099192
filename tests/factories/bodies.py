"""Bodies that every operation takes: the document's examples, with ids and names of a test's own."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import uuid4

from platform_api.main import openapi_document
from tests.factories.world import Whose, World


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, made once; not to be changed."""
    return openapi_document()


class Bodies:
    """The document's examples, with ids that exist."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._examples = {
            (method.upper(), path): content["application/json"]["example"]
            for path, item in document()["paths"].items()
            for method, operation in item.items()
            if (content := operation.get("requestBody", {}).get("content"))
        }

    async def of(self, method: str, path: str, whose: Whose | None = None) -> Any:
        """The body to send, or None where the path takes none."""
        example = self._examples.get((method, path))
        maker = self._world.foreign if whose is Whose.FOREIGN else self._world.home
        agent = await self._world.shared_agent(maker)
        return self._filled(example, {"agentId": agent["id"], "tenantId": str(maker.tenant_id)})

    def _filled(self, value: Any, ids: Mapping[str, str]) -> Any:
        if isinstance(value, list):
            return [self._filled(each, ids) for each in value]
        if not isinstance(value, dict):
            return value
        fresh = {"name": f"Name {uuid4().hex}", "email": f"{uuid4().hex}@example.com", **ids}
        return {
            key: fresh[key] if key in fresh and isinstance(each, str) else self._filled(each, ids)
            for key, each in value.items()
        }
