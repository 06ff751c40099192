"""Looks for a planted secret in everything that the database holds."""

import base64
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_TABLES = text("select tablename from pg_tables where schemaname = 'public' order by tablename")


def traces_of(secret: str) -> list[str]:
    """The secret and what it is easily turned into; bytes columns print as hexadecimal."""
    raw = secret.encode()
    encoded = base64.b64encode(raw).decode()
    return list(dict.fromkeys([secret, encoded, encoded.rstrip("="), quote(secret), raw.hex()]))


async def tables_with(session: AsyncSession, secret: str) -> dict[str, int]:
    """Table → how many of its rows hold a trace, whatever the column; a session with the owner's rights."""
    found = {}
    for table in list((await session.execute(_TABLES)).scalars()):
        for trace in traces_of(secret):
            statement = text(f'select count(*) from "{table}" as r where position(:trace in r::text) > 0')
            rows = (await session.execute(statement, {"trace": trace})).scalar_one()
            if rows:
                found[table] = found.get(table, 0) + rows
    return found
