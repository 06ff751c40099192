"""Migrations and seed in one go; answers on standard output with `{adminEmail, generatedPassword}`."""

import asyncio
import json
import sys

from deployments.commands.settings import settings_or_exit
from platform_api.db.engine import create_engine, session_maker
from platform_api.db.migrate import upgrade
from platform_api.kit.crypto import Cipher
from platform_api.resources.secrets.keys import check_keys
from platform_api.seed import SeedResult, seed
from platform_api.settings import Settings, SettingsInvalid


async def _seeded(settings: Settings) -> SeedResult:
    engine = create_engine(settings.database, application_name="turbocat-prepare")
    sessions = session_maker(engine)
    try:
        await check_keys(sessions, Cipher.of(settings.auth))
        return await seed(sessions, settings)
    finally:
        await engine.dispose()


def main() -> int:
    """The password leaves this process through the pipe only, never through a log."""
    settings = settings_or_exit()
    upgrade(settings.database.url.get_secret_value())
    try:
        result = asyncio.run(_seeded(settings))
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    json.dump({"adminEmail": result.admin_email, "generatedPassword": result.generated_password}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
