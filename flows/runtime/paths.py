"""Paths name places in a run: `fetch`, `each[3].fetch` in a loop's fourth body, `both.left.fetch` in a branch."""

from flows.plan import Plan, PlanStep


def is_top_level(path: str) -> bool:
    """Whether the step lies in no loop and no branch; only such steps are counted in an execution."""
    return "." not in path and "[" not in path


def containers_of(path: str) -> tuple[str, ...]:
    """The paths of the loops and parallels around a step, outermost first, with every item and branch on the way.

    Of `each[3].both.left.fetch` these are `each`, `each[3]`, `each[3].both` and `each[3].both.left`.
    """
    marks = [position for position, character in enumerate(path) if character in ".["]
    return tuple(dict.fromkeys(path[:mark] for mark in marks))


def lies_in(path: str, container: str) -> bool:
    """Whether a path is that of `container` or of something inside it."""
    return path == container or path.startswith((f"{container}.", f"{container}["))


def step_at(plan: Plan, path: str) -> PlanStep | None:
    """The step that has records under `path`, or None where the plan has no such place."""
    beside: tuple[PlanStep, ...] = plan.steps
    segments = iter(path.split("."))
    for segment in segments:
        key, _, index = segment.partition("[")
        step = next((each for each in beside if each.step_key == key), None)
        if step is None:
            return None
        following = next(segments, None) if step.parallel else ""
        if step.loop and index:
            beside = step.loop.steps
        elif step.parallel and following is not None:
            beside = step.parallel.branches.get(following, ())
        else:
            return step if following in ("", None) and not index and next(segments, None) is None else None
    return None
