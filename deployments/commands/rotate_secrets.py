"""Brings secrets and credentials under the newest encryption key, while everything goes on running."""

import asyncio
import sys

from sqlalchemy.exc import SQLAlchemyError

from deployments.commands.settings import settings_or_exit
from platform_api.db.engine import create_engine, session_maker
from platform_api.kit.crypto import Cipher, DecryptionFailed
from platform_api.resources.secrets.keys import rotate
from platform_api.settings import Settings, SettingsInvalid


async def _rotated(settings: Settings) -> int:
    engine = create_engine(settings.database, application_name="turbocat-rotate")
    try:
        return await rotate(session_maker(engine), Cipher.of(settings.auth))
    finally:
        await engine.dispose()


def main() -> int:
    """Exit code 2 when a key is missing, 1 when a secret cannot be opened or the database not be reached."""
    settings = settings_or_exit()
    try:
        changed = asyncio.run(_rotated(settings))
    except SettingsInvalid as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except DecryptionFailed as error:
        sys.stderr.write(f"error: {error}\nhint: what was done is kept; add the key that is missing and start again\n")
        return 1
    except SQLAlchemyError as error:
        first_line = str(error).splitlines()[0]
        sys.stderr.write(f"error: the secrets were not all changed: {first_line}\nhint: start it again\n")
        return 1
    sys.stdout.write(f"{changed} secret(s) are now under the newest key; ENCRYPTION_KEYS_OLD is needed no more\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
