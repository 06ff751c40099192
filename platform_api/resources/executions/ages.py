"""How long ago something was, by clocks that may be set back.

What was noted before that lies in the future for a while. Then it counts as long ago: to look once too often costs a
moment, and nobody is to wait until the clock has caught up.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, ColumnElement, SQLColumnExpression, literal_column, or_

from platform_api.kit import clock

SKEW = timedelta(minutes=1)
"""How much the clocks of worker, database and Prefect may differ."""

AT_ONCE = timedelta(seconds=1)
DUE_WHEN_ACCEPTED = literal_column("executions.queued_at <= executions.created_at + interval '1 second'", Boolean)
"""The condition on `executions` that the run was to start `AT_ONCE`, whatever the clock says now."""


def is_past(since: datetime, age: timedelta) -> bool:
    """Whether `since` is at least `age` ago."""
    elapsed = clock.now() - since
    return elapsed >= age or elapsed < -SKEW


def older_than(column: SQLColumnExpression[Any], age: timedelta) -> ColumnElement[bool]:
    """The same as a condition on a column."""
    now = clock.now()
    return or_(column < now - age, column > now + SKEW)
