"""What a schedule must satisfy before Prefect is asked to keep it."""

import re
from zoneinfo import available_timezones

from agents.errors import Problem
from flows.spec import Schedule

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
"""Name, smallest and largest value, and the words that may stand for values from the smallest on."""
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month in the year that gives it most."""
_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d{1,4}))?")


def schedule_problems(schedule: Schedule) -> list[Problem]:
    """Everything wrong with a schedule, with paths relative to it."""
    found = []
    if (schedule.cron is None) == (schedule.interval_seconds is None):
        found.append(Problem(path="", code="BAD_SCHEDULE", message="Write either `cron` or `intervalSeconds`"))
    if schedule.cron is not None:
        found += [Problem(path="cron", code="BAD_CRON", message=message) for message in _cron_faults(schedule.cron)]
    if schedule.timezone not in available_timezones():
        message = f"There is no time zone {schedule.timezone!r}; write one such as Europe/Berlin or UTC"
        found.append(Problem(path="timezone", code="UNKNOWN_TIMEZONE", message=message))
    return found


def _cron_faults(line: str) -> list[str]:
    parts = line.split()
    if len(parts) != len(_FIELDS):
        return [f"A cron line has five fields (minute hour day month weekday); this one has {len(parts)}"]
    faults, values = [], []
    for part, (name, smallest, largest, words) in zip(parts, _FIELDS, strict=True):
        found = [_values(item, smallest, largest, words) for item in part.split(",")]
        values.append(set().union(*found))
        if not all(found):
            forms = f"{smallest}-{largest}, `*`, lists with `,`, ranges with `-`, steps with `/`"
            faults.append(f"{part!r} is no {name}: {forms}")
    if not faults and not _comes(days=values[2], months=values[3], any_weekday=parts[4].startswith("*")):
        faults.append(f"{line!r} never comes: no such month has such a day")
    return faults


def _comes(*, days: set[int], months: set[int], any_weekday: bool) -> bool:
    """Where a weekday is named too, cron takes the days of either."""
    return not any_weekday or any(day <= _LONGEST[month - 1] for day in days for month in months)


def _values(item: str, smallest: int, largest: int, words: tuple[str, ...]) -> set[int]:
    """The values that an item of a list stands for; none when it is not written as one."""
    match = _ITEM.fullmatch(item)
    if match is None or (match["step"] is not None and int(match["step"]) == 0):
        return set()
    step = int(match["step"] or 1)
    if match["first"] == "*":
        return set(range(smallest, largest + 1, step)) if match["last"] is None else set()
    first = _value(match["first"], smallest, words)
    last = _value(match["last"] or match["first"], smallest, words)
    if first is None or last is None or not smallest <= first <= last <= largest:
        return set()
    open_end = match["step"] is not None and match["last"] is None
    return set(range(first, (largest if open_end else last) + 1, step))


def _value(text: str, smallest: int, words: tuple[str, ...]) -> int | None:
    if text.upper() in words:
        return words.index(text.upper()) + smallest
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None
