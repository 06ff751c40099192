"""`make bench`: a table for people, one JSON line per figure for machines. `--small` only shows that it works."""

import argparse
import json

from tests.bench import compilation, expressions, sandbox


def main() -> None:
    """Measures everything, one group after another."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--small", action="store_true", help="few and short rounds")
    small = parser.parse_args().small
    measured = [
        *expressions.figures(rounds=2 if small else 9, repeat=20 if small else 2_000),
        *compilation.figures(steps=50 if small else 1_000, rounds=2 if small else 7),
        *sandbox.figures(rounds=2 if small else 25),
    ]
    for figure in measured:
        print(figure.as_row())
    for figure in measured:
        print(json.dumps(figure.as_json(), ensure_ascii=False))


if __name__ == "__main__":
    main()
