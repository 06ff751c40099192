"""Finds files under the data roots, and nothing outside them, whatever symbolic links say."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from agents.data.formats import path_fault
from agents.data.patterns import matching_files
from agents.data.suggestions import did_you_mean
from agents.errors import InputInvalid

MAX_FILES = 10_000
MAX_SEEN = 1_000_000
_PATTERN = re.compile(r"[*?\[]")


def find_files(path: str, roots: Sequence[Path], suffix: str | None = None) -> list[Path]:
    """The real paths behind a source's `path`, sorted; a folder stands for the files with `suffix` in it.

    Raises `InputInvalid`: code PATH_REFUSED for what may not be read, PATH_NOT_FOUND when no root has it.
    """
    _refuse_faults(path)
    for root in _usable(path, roots):
        found = _under(root, path, suffix)
        if found:
            return [_inside(file, roots, path) for file in found]
    raise InputInvalid(_not_found(path, roots), code="PATH_NOT_FOUND", path="source.path")


def stamp_of(files: Sequence[Path]) -> str:
    """Changes when one of the files is written to, replaced, added or gone."""
    seen = hashlib.sha256()
    for file in files:
        found = file.stat()
        seen.update(f"{file.name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode(errors="surrogatepass"))
    return seen.hexdigest()


def place_file(path: str, roots: Sequence[Path]) -> Path:
    """Where a sink's `path` lies. Sinks write into the first root alone; raises `InputInvalid` (PATH_REFUSED)."""
    _refuse_faults(path)
    if _PATTERN.search(path):
        raise _refused(path, "a file to write is named without * ? [")
    root = _usable(path, roots)[0]
    placed = _inside(root.resolve() / path, roots[:1], path)
    if placed == root.resolve():
        raise _refused(path, "it is the data root itself; name a file or folder in it")
    return placed


def _refuse_faults(path: str) -> None:
    fault = path_fault(path)
    if fault is not None:
        raise InputInvalid(fault[1], code=fault[0], path="path")


def _usable(path: str, roots: Sequence[Path]) -> Sequence[Path]:
    if not roots:
        raise _refused(path, "no data root is configured for this deployment")
    return roots[:1] if Path(path).is_absolute() else roots


def _under(root: Path, path: str, suffix: str | None) -> list[Path]:
    """Absolute paths that `path` means in `root`; not yet checked against links."""
    base = Path(path) if Path(path).is_absolute() else root / path
    if base.is_file():
        return [base]
    if base.is_dir() and suffix is not None:
        return _bounded(base, f"**/*{suffix}", path)
    if not _PATTERN.search(path):
        return []
    fixed, pattern = _split_pattern(base)
    return _bounded(fixed, pattern, path) if fixed.is_dir() else []


def _split_pattern(base: Path) -> tuple[Path, str]:
    first = next(index for index, part in enumerate(base.parts) if _PATTERN.search(part))
    return Path(*base.parts[:first]), str(Path(*base.parts[first:]))


def _bounded(folder: Path, pattern: str, path: str) -> list[Path]:
    """Files only, without hidden ones: those are half-written."""
    found: list[Path] = []
    try:
        for seen, file in enumerate(matching_files(folder, Path(pattern).parts)):
            if seen >= MAX_SEEN:
                raise _refused(path, f"more than {MAX_SEEN} files would have to be looked at")
            if file is not None:
                found.append(file)
            if len(found) > MAX_FILES:
                raise _refused(path, f"names more than {MAX_FILES} files, which are read at once at most")
    except (ValueError, re.error) as error:
        raise _refused(path, f"no usable pattern: {error}") from error
    return sorted(found)


def _inside(file: Path, roots: Sequence[Path], path: str) -> Path:
    try:
        real = file.resolve()
    except (OSError, RuntimeError) as error:
        raise _refused(path, "its symbolic links lead nowhere") from error
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise _refused(path, "it lies outside the data roots")
    return real


def _refused(path: str, reason: str) -> InputInvalid:
    return InputInvalid(f"{path[:200]!r}: {reason}", code="PATH_REFUSED", path="path")


def _not_found(path: str, roots: Sequence[Path]) -> str:
    """Names neighbours of the missing file, but nothing of where the roots are."""
    if Path(path).is_absolute():
        return f"no file matches {path[:200]!r} under the data roots"
    own = Path(path).name
    names = [file.name for root in roots for file in _neighbours(root, path, roots) if file.name != own]
    hint = did_you_mean(own, names)
    return f"no file matches {path[:200]!r} under the data roots{f'; {hint}' if hint else ''}"


def _neighbours(root: Path, path: str, roots: Sequence[Path]) -> list[Path]:
    folder = (root / path).parent.resolve()
    is_inside = any(folder.is_relative_to(other.resolve()) for other in roots)
    return list(folder.iterdir())[:1_000] if is_inside and folder.is_dir() else []
