"""Every route of the application with the permission that it names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from platform_api.access.dependencies import Permit
from platform_api.access.permissions import Permission
from platform_api.kit.ids import new_id


@dataclass(frozen=True, kw_only=True)
class Walked:
    method: str
    path: str
    permission: Permission | None

    @property
    def url(self) -> str:
        """The path with ids that nothing has."""
        return re.sub(r"\{[^}]+\}", lambda _: str(new_id()), self.path)


def walk(app: FastAPI) -> Iterator[Walked]:
    for context in iter_route_contexts(app.routes):
        for method in sorted(context.methods or ()):
            yield Walked(method=method, path=str(context.path), permission=permission_of(context.dependant))


def permission_of(dependant: Dependant) -> Permission | None:
    if isinstance(dependant.call, Permit):
        return dependant.call.permission
    return next((found for inner in dependant.dependencies if (found := permission_of(inner))), None)
