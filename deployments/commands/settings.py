"""The settings for a command, or one clear message."""

import sys

from platform_api.settings import Settings, SettingsInvalid, load_settings


def settings_or_exit() -> Settings:
    """Ends the process with code 2 when the environment makes no working configuration, naming every variable."""
    try:
        return load_settings()
    except SettingsInvalid as error:
        sys.stderr.write(f"error: the settings are not complete\n{error}\n")
        sys.stderr.write("hint: set these variables; `turbocat up` makes them all by itself\n")
        raise SystemExit(2) from None
