"""Brings the database of `DATABASE_URL` to the newest schema."""

import sys

from sqlalchemy.exc import SQLAlchemyError

from deployments.commands.settings import settings_or_exit
from platform_api.db.migrate import current, upgrade


def main() -> int:
    """Exit code 1 when the database cannot be reached or refuses the change."""
    url = settings_or_exit().database.url.get_secret_value()
    try:
        before = current(url)
        upgrade(url)
        after = current(url)
    except SQLAlchemyError as error:
        first_line = str(error).splitlines()[0]
        sys.stderr.write(f"error: the schema was not changed: {first_line}\nhint: check DATABASE_URL and its rights\n")
        return 1
    sys.stdout.write(
        f"schema {after}" + (" was up to date\n" if before == after else f", from {before or 'nothing'}\n")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
