import asyncio
from typing import Any, cast

import pytest

from agents.code.config import MIB
from agents.code.executor import CodeExecutor
from agents.code.selection import Selection
from agents.context import AgentContext, DatasetStore
from agents.errors import AgentTimeout, CodeFailed, ConfigInvalid, InputInvalid, LimitExceeded, OutputInvalid
from agents.spec import AgentSpec, AgentType, Limits
from tests.agents.code.conftest import Lines, Run, guests
from tests.fixtures.cost import spent

SOON = 3
"""Processor seconds after which a program that should have been stopped for something else is stopped for these."""


def returning(expression: str, before: str = "") -> str:
    return f"{before}\ndef main(input):\n    return {expression}\n"


async def test_main_gets_the_input_and_its_result_is_the_output(run: Run) -> None:
    inputs = {"rows": [{"a": 1}, {"a": None}], "text": "Žluťoučký 🐈 \u202e\u0000", "ref": {"uri": "x", "rows": 3}}
    assert await run(returning("[input, len(input['text'])]"), inputs) == [inputs, 14]


@pytest.mark.parametrize("value", ["None", "[]", "{}", "''", "0", "1.5", "True", "(1, 2)", "{1: 'a'}", "2**63 - 1"])
async def test_json_values_come_back(run: Run, value: str) -> None:
    expected: Any = {"(1, 2)": [1, 2], "{1: 'a'}": {"1": "a"}}.get(value, eval(value))
    assert await run(returning(value)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "float('nan')",
        "[1, float('inf')]",
        "{1, 2}",
        "b'bytes'",
        "object()",
        "main",
        "2**64",
        "'\\ud800'",
        "{(1, 2): 3}",
        "__import__('datetime').date(2020, 1, 1)",
    ],
)
async def test_what_is_no_json_is_no_output(run: Run, expression: str) -> None:
    with pytest.raises(OutputInvalid):
        await run(returning(expression))


@pytest.mark.parametrize("depth", [600, 100_000])
async def test_deeply_nested_and_circular_results_are_no_output(run: Run, depth: int) -> None:
    code = f"def main(input):\n    value = []\n    for _ in range({depth}):\n        value = [value]\n    return value"
    with pytest.raises(OutputInvalid):
        await run(code)
    with pytest.raises(OutputInvalid):
        await run("def main(input):\n    input['self'] = input\n    return input")


async def test_an_exception_comes_with_type_message_and_own_lines(run: Run) -> None:
    code = "import json\n\ndef parse(text):\n    return json.loads(text)\n\ndef main(input):\n    return parse('{')\n"
    with pytest.raises(CodeFailed) as caught:
        await run(code)
    assert caught.value.message.startswith("JSONDecodeError: Expecting property name")
    assert caught.value.message.endswith("(line 4)")
    assert caught.value.details["line"] == 4
    assert caught.value.details["traceback"] == [
        "line 7, in main: return parse('{')",
        "line 4, in parse: return json.loads(text)",
    ]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1 / 0\ndef main(input): ...", "ZeroDivisionError: division by zero (line 1)"),
        ("def main(input):\n    return main(input)", "RecursionError: maximum recursion depth exceeded (line 2)"),
        ("def main(input):\n    raise KeyboardInterrupt", "KeyboardInterrupt (line 2)"),
        ("def main(input):\n    raise GeneratorExit('x')", "GeneratorExit: x (line 2)"),
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this' (line 1)"),
        ("import agents.code.executor", "ModuleNotFoundError: No module named 'agents' (line 1)"),
        ("def main(input:", "SyntaxError: '(' was never closed (main.py, line 1) (line 1)"),
        ("x = 1", "KeyError: 'main'"),
        ("def main(): ...", "TypeError: main() takes 0 positional arguments but 1 was given"),
    ],
)
async def test_every_failure_of_the_code_is_typed(run: Run, code: str, message: str) -> None:
    with pytest.raises(CodeFailed) as caught:
        await run(code)
    assert caught.value.message == message


async def test_a_hostile_exception_is_reported_too(run: Run) -> None:
    code = (
        "class Evil(Exception):\n    def __str__(self):\n        raise SystemExit\n"
        "def main(input):\n    raise Evil from Evil()"
    )
    with pytest.raises(CodeFailed, match="Evil"):
        await run(code)


async def test_a_very_long_message_is_cut(run: Run) -> None:
    with pytest.raises(CodeFailed) as caught:
        await run("def main(input):\n    raise ValueError('x' * 10**7)")
    assert len(caught.value.message) < 5000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; sys.exit(0)", r"sys\.exit\(0\)"),
        ("import sys; sys.exit('bye')", r"sys\.exit\('bye'\)"),
        ("import os; os._exit(0)", r"exit code 0\) without a result"),
        ("import os; os._exit(7)", r"exit code 7\) without a result"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by signal SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "killed by signal SIGTERM"),
        ("import ctypes; ctypes.string_at(0)", "killed by signal SIGSEGV"),
        ("import os; os.abort()", "killed by signal SIGABRT"),
        ("import os, signal; os.killpg(0, signal.SIGKILL)", "killed by signal SIGKILL"),
    ],
)
async def test_every_other_kind_of_end_is_said(run: Run, body: str, message: str) -> None:
    with pytest.raises(CodeFailed, match=message):
        await run(f"def main(input):\n    {body}")


async def test_an_endless_loop_ends_at_the_time_limit(run: Run, log: Lines) -> None:
    """The program says what it has used: on a busy machine that is less, and never more, than the time that passed."""
    code = (
        "import time\ndef main(input):\n    said = 0\n    while True:\n"
        "        if (used := time.process_time()) > said + 0.02:\n            said = used\n            print(used)"
    )
    with pytest.raises(AgentTimeout) as caught:
        await run(code, limit_seconds=0.5, cpuSeconds=30)
    assert caught.value.details["timeoutSeconds"] == 0.5
    assert float(log.text[-1]) < 2


async def test_the_configs_own_time_limit_counts_when_it_is_tighter(run: Run) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef main(input):\n    time.sleep(60)"
    with pytest.raises(AgentTimeout):
        await run(code, timeoutSeconds=0.3)


async def test_cancelling_kills_the_process(run: Run, log: Lines) -> None:
    task = asyncio.ensure_future(run("def main(input):\n    print('here')\n    while True: pass"))
    await asyncio.wait_for(log.first.wait(), 10)
    assert guests() != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guests() == []


async def test_cancelling_twice_and_at_once_leaves_nothing(run: Run) -> None:
    for yields in range(12):
        task = asyncio.ensure_future(run("def main(input):\n    while True: pass"))
        for _ in range(yields):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert guests() == []


@pytest.mark.parametrize(
    "body",
    [
        "blocks = []\n    while True: blocks.append(bytearray(1_000_000))",
        "return len(bytearray(10**11))",
        "block = bytearray(300 * 2**20)\n    while True: block[0] = 1",
        "return 'x' * (2**33)",
        "import mmap\n    mapped = mmap.mmap(-1, 2**30)\n    while True: mapped.write(b'x' * 2**20)",
        "import os\n    for _ in range(4): os.fork()\n    b = bytearray(60 * 2**20)\n    while True: pass",
    ],
    ids=["slowly", "far-too-much", "a-little-too-much", "text", "shared-map", "in-children"],
)
async def test_memory_is_limited(run: Run, body: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(f"def main(input):\n    {body}", memoryMb=128, cpuSeconds=SOON)
    assert caught.value.code == "MEMORY_LIMIT"


@pytest.mark.parametrize(
    "code",
    [
        "def main(input):\n    while True: pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef main(input):\n    while True: pass",
        "import os\ndef main(input):\n    os.fork()\n    os.fork()\n    while True: pass",
    ],
)
async def test_processor_time_is_limited(run: Run, code: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(code, cpuSeconds=0.5)
    assert caught.value.code == "CPU_LIMIT"


@pytest.mark.case(29)
@pytest.mark.parametrize(
    "body",
    [
        "for _ in range(10**6): print('x' * 99)",
        "import os\n    while True: os.write(1, b'x' * 10**6)",
        "import os\n    while True: os.write(2, b'\\n' * 10**5)",
        "import os\n    os.fork()\n    while True: os.write(2, b'\\xff' * 10**5)",
    ],
)
async def test_printing_without_end_is_stopped_quickly(run: Run, log: Lines, body: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(f"def main(input):\n    {body}", cpuSeconds=SOON)
    assert caught.value.code == "OUTPUT_LIMIT"
    assert sum(map(len, log.text)) <= MIB + 1000
    assert log.written[-1][0] == "WARN"
    assert "cut here" in log.text[-1]


async def test_a_huge_result_is_stopped(run: Run) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(returning("'x' * 2_000_000"), maxResultBytes=1_000_000)
    assert caught.value.code == "OUTPUT_LIMIT"
    assert await run(returning("'x' * 2_000_000")) == "x" * 2_000_000


async def test_a_large_input_arrives(run: Run) -> None:
    assert await run(returning("len(input['text'])"), {"text": "x" * 5_000_000}) == 5_000_000


async def test_code_that_closes_its_pipes_does_not_hang(run: Run) -> None:
    code = "import os\ndef main(input):\n    os.closerange(0, 100)\n    return 1"
    with pytest.raises(CodeFailed):
        await run(code, limit_seconds=10)


async def test_code_that_closes_our_pipes_is_not_shown_where_we_are_installed(run: Run, log: Lines) -> None:
    code = "import os\ndef main(input):\n    os.closerange(3, 100)\n    return 1"
    with pytest.raises(CodeFailed):
        await run(code)
    assert log.text == []


async def test_code_that_writes_its_own_answer_is_not_believed(run: Run) -> None:
    write = "[os.write(int(fd), b'%s') for fd in os.listdir('/proc/self/fd') if int(fd) > 2 and not os.isatty(int(fd))]"
    for forged in ("{}", "[1]", '{"ok": 1}', '{"ok": false, "failure": "raised", "frames": 5}', "not json"):
        code = f"import os\ndef main(input):\n    try: {write % forged}\n    except OSError: pass\n    os._exit(0)"
        with pytest.raises((OutputInvalid, CodeFailed)):
            await run(code)


async def test_forked_children_are_gone_afterwards(run: Run) -> None:
    code = (
        "import os, time\n"
        "def main(input):\n"
        "    for _ in range(3):\n"
        "        if os.fork() == 0:\n"
        "            os.setsid()\n"
        "            if os.fork() == 0:\n"
        "                while True: time.sleep(1)\n"
        "            os._exit(0)\n"
        "    return 'left three daemons'"
    )
    assert await run(code) == "left three daemons"


async def test_only_the_first_process_may_answer(run: Run) -> None:
    code = "import os\ndef main(input):\n    if os.fork() == 0: return 'child'\n    os.wait()\n    return 'parent'"
    assert await run(code) == "parent"


async def test_threads_left_behind_hold_up_nothing(run: Run) -> None:
    """Whoever waited for one would come to the time limit."""
    code = returning("1", "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()")
    assert await run(code) == 1


async def test_a_fork_bomb_is_contained(run: Run) -> None:
    with pytest.raises((CodeFailed, LimitExceeded, AgentTimeout)):
        await run("import os\ndef main(input):\n    while True: os.fork()", limit_seconds=5, cpuSeconds=3)
    assert await run(returning("'healthy'")) == "healthy"


async def test_lines_are_logged_as_they_come(run: Run, log: Lines) -> None:
    code = "import sys, time\ndef main(input):\n    print('first')\n    time.sleep(60)"
    task = asyncio.ensure_future(run(code))
    await asyncio.wait_for(log.first.wait(), 10)
    assert log.written == [("INFO", "first")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_both_streams_are_logged_and_nothing_is_mixed_into_the_result(run: Run, log: Lines) -> None:
    code = (
        "import sys\ndef main(input):\n    print('ö\\ud800', end='')\n    print('err', file=sys.stderr)\n    return 5"
    )
    assert await run(code) == 5
    assert sorted(log.written) == [("INFO", "ö\\ud800"), ("WARN", "err")]


async def test_an_input_that_is_no_json_is_said(run: Run) -> None:
    with pytest.raises(InputInvalid):
        await run(returning("1"), {"a": object()})


async def test_a_config_that_became_invalid_is_said(run: Run) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        await run(returning("1"), memoryMb="a lot")
    assert caught.value.path == "memoryMb"


async def test_polars_can_be_used(run: Run) -> None:
    code = "import polars as pl\ndef main(input):\n    return pl.DataFrame(input['rows'])['a'].sum()"
    assert await run(code, {"rows": [{"a": 1}, {"a": 2}]}) == 3


async def test_an_empty_program_starts_quickly_and_the_loop_stays_free(run: Run) -> None:
    await run(returning("1"))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    ticker = asyncio.ensure_future(tick())
    costs = []
    for _ in range(7):
        with spent() as cost:
            await run(returning("1"))
        costs.append(cost.seconds + cost.of_children)
    ticker.cancel()
    assert min(costs) < 0.15  # 0.05 usually; importing Polars alone would be more
    assert ticks > 20


async def test_many_at_once(run: Run) -> None:
    assert await asyncio.gather(*(run(returning("input['n']"), {"n": n}) for n in range(20))) == list(range(20))


async def test_a_long_result_has_a_preview(log: Lines, sandbox: Selection) -> None:
    config = {"language": "python", "code": returning("['row'] * 5000")}
    spec = AgentSpec(id="a1", version=1, name="coder", type=AgentType.CODE, config=config)
    context = AgentContext(limits=Limits(), log=log, datasets=cast(DatasetStore, None), idempotency_key="k")
    result = await CodeExecutor(sandbox).run(spec, {}, context)
    assert len(result.output) == 5000
    assert result.preview["excerpt"].startswith('["row", "row"')
    assert len(result.preview["excerpt"]) == 1000
