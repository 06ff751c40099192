"""What each worker's process says of itself."""

from platform_api.db.models.base import Row
from platform_api.db.models.columns import strings


class Worker(Row, table=True):
    """A worker's process; `updated_at` is when it was last heard of. It belongs to no tenant.

    Without a `sandbox` it refuses CODE agents, and `refusal` is why.
    """

    __tablename__ = "workers"

    name: str
    sandbox: str | None = None
    languages: list[str] = strings()
    refusal: str | None = None
