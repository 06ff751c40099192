"""Changes of the project's own Python sources, for `turbocat up --reload`."""

from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import PythonFilter, awatch

import deployments

PACKAGES = ("agents", "flows", "platform_api", "deployments")


def source_folders() -> tuple[Path, ...]:
    """The packages' folders beside this one."""
    root = Path(deployments.__file__).parent.parent
    return tuple(root / name for name in PACKAGES if (root / name).is_dir())


async def changes(folders: tuple[Path, ...] | None = None) -> AsyncIterator[str]:
    """The name of a changed file, once per burst of changes."""
    async for changed in awatch(*(folders or source_folders()), watch_filter=PythonFilter()):
        paths = sorted(Path(path).name for _, path in changed)
        yield paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
