"""The benchmarks are no timed tests; this only sees that they run and print what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.unmeasured
def test_a_small_run_prints_a_table_and_a_json_line_per_figure() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "code", "--small"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    figures = [json.loads(line) for line in lines if line.startswith("{")]
    rows = [line for line in lines if not line.startswith("{")]
    assert len(figures) == len(rows) > 5
    assert all(figure["value"] > 0 and figure["unit"] in {"µs", "ms", "x"} for figure in figures)
    assert all(any(row.startswith(figure["name"]) for row in rows) for figure in figures)
