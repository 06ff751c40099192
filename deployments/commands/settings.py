"""The settings for a command, or one clear message."""

import sys

from platform_api.settings import Settings, SettingsInvalid, load_settings


def settings_or_exit() -> Settings:
    """Ends the process with code 2 when the environment makes no working configuration, naming every variable."""
    try:
        return load_settings()
    except SettingsInvalid as error:
        sys.stderr.write(f"error: settings are missing or wrong\n{error}\n")
        sys.stderr.write("hint: docs/settings.md tells of each one; `turbocat up` sets those that it needs itself\n")
        raise SystemExit(2) from None
