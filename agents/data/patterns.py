"""Patterns of paths: `*`, `?` and `[…]` inside of a name, `**` for any number of folders."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path


def matching_files(folder: Path, pattern: Sequence[str]) -> Iterator[Path | None]:
    """The files below `folder` whose path fits the pattern, None for each that does not.

    One walk, however many `**` there are; pathlib takes one for each way in which they may fit. `**` follows no links
    to folders: they may lead round in a circle. Nothing hidden is looked at.
    """
    depth = None if "**" in pattern else len(pattern)
    for parent, folders, files in os.walk(folder, followlinks=depth is not None):
        parts = Path(parent).relative_to(folder).parts
        folders[:] = [name for name in folders if not name.startswith(".") and _may_lead(pattern, (*parts, name))]
        if depth is not None and len(parts) + 1 >= depth:
            folders.clear()
        for name in files:
            file = Path(parent, name)
            yield file if not name.startswith(".") and _fits(pattern, (*parts, name)) and file.is_file() else None


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether each part fits, `**` being any number of folders."""
    return len(pattern) in _reached(pattern, parts)


def _may_lead(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether something below this folder may fit."""
    return bool(_reached(pattern, parts) - {len(pattern)})


def _reached(pattern: Sequence[str], parts: Sequence[str]) -> set[int]:
    """How much of the pattern the parts may have used up."""
    places = _past_stars(pattern, {0})
    for part in parts:
        used = {place if pattern[place] == "**" else place + 1 for place in places if _takes(pattern, place, part)}
        places = _past_stars(pattern, used)
    return places


def _takes(pattern: Sequence[str], place: int, part: str) -> bool:
    return place < len(pattern) and (pattern[place] == "**" or fnmatchcase(part, pattern[place]))


def _past_stars(pattern: Sequence[str], places: set[int]) -> set[int]:
    """With the places behind each `**`, which may be no folder at all."""
    found = set(places)
    for place, part in enumerate(pattern):
        if part == "**" and place in found:
            found.add(place + 1)
    return found
