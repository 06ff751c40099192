"""Which steps run and which are skipped, without running any."""

from flows.plan import PlanStep
from flows.runtime.graph import BodyGraph, BodyShape, Ending, Moves
from tests.fakes.runtime import a_condition, a_step


def begun(*steps: PlanStep) -> tuple[BodyGraph, Moves]:
    graph = BodyGraph(BodyShape(steps))
    return graph, graph.begin()


def keys(moves: Moves) -> tuple[list[str], list[str]]:
    return [step.step_key for step in moves.ready], [skip.step.step_key for skip in moves.skipped]


def test_a_step_is_ready_when_the_last_of_its_dependencies_has_ended() -> None:
    graph, moves = begun(a_step("a"), a_step("b"), a_step("c", "a", "b"))
    assert keys(moves) == (["a", "b"], [])
    assert keys(graph.ended("b", Ending.RAN)) == ([], [])
    assert keys(graph.ended("a", Ending.RAN)) == (["c"], [])
    graph.ended("c", Ending.RAN)
    assert graph.is_finished


def test_what_a_condition_does_not_choose_is_skipped_with_all_that_hangs_on_it_alone() -> None:
    graph, _ = begun(
        a_condition("if", when="x", then=("yes",), otherwise=("no",)),
        a_step("yes", "if", gates=("if",)),
        a_step("no", "if", gates=("if",)),
        a_step("after", "no"),
        a_step("join", "yes", "after"),
    )
    moves = graph.ended("if", Ending.RAN, chosen=["yes"])
    assert keys(moves) == (["yes"], ["no", "after"])
    assert [skip.reason for skip in moves.skipped] == ["`if` did not choose this step", "`no` did not run"]
    assert keys(graph.ended("yes", Ending.RAN)) == (["join"], [])


def test_a_join_whose_branches_are_all_skipped_is_skipped() -> None:
    graph, _ = begun(
        a_condition("if", when="x"),
        a_step("b", "if", gates=("if",)),
        a_step("c", "if", gates=("if",)),
        a_step("join", "b", "c"),
    )
    assert keys(graph.ended("if", Ending.RAN)) == ([], ["b", "c", "join"])
    assert graph.is_finished
    last = graph.last_that_ran()
    assert last is not None
    assert last.step_key == "if"


def test_one_of_several_conditions_is_enough_and_all_of_them_are_waited_for() -> None:
    graph, _ = begun(
        a_condition("one", when="x"), a_condition("two", when="x"), a_step("s", "one", "two", gates=("one", "two"))
    )
    assert keys(graph.ended("one", Ending.RAN, chosen=["s"])) == ([], [])
    assert keys(graph.ended("two", Ending.RAN)) == (["s"], [])


def test_a_fallback_runs_only_when_its_step_has_failed() -> None:
    steps = (a_step("a", fallback="plan_b"), a_step("plan_b", "a", fallback_of=("a",)), a_step("next", "a"))
    well, _ = begun(*steps)
    assert keys(well.ended("a", Ending.RAN)) == (["next"], ["plan_b"])
    badly, _ = begun(*steps)
    assert keys(badly.ended("a", Ending.REPLACED, failed=True)) == (["plan_b"], ["next"])
    goes_on, _ = begun(*steps)
    assert keys(goes_on.ended("a", Ending.RAN, failed=True)) == (["plan_b", "next"], [])


def test_a_thousand_skipped_in_a_chain_take_no_recursion() -> None:
    chain = [a_step(f"s{number}", f"s{number - 1}") for number in range(1, 2_000)]
    graph, _ = begun(a_condition("if", when="x"), a_step("s0", "if", gates=("if",)), *chain)
    assert len(graph.ended("if", Ending.RAN).skipped) == 2_000
    assert graph.is_finished
