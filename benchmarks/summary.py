"""Run every benchmark and print one table of what each was held against: what ``make bench`` does.

    python benchmarks/summary.py [PART OF A NAME ...]

Every bench_*.py beside this file takes part by being there. A row is a line of its output that ends in ``kept`` or
``MISSED``, as ``_side_by_side.ratio`` and ``limit`` print it; its title is the line above it that is not indented. Ends
with 1 when a benchmark failed to run; a mark that is missed is told, not an error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROW = re.compile(
    r"^\s+(?P<name>\S.*?)\s{2,}(?P<value>.*?)(?:\s+range (?P<range>.*?))?\s+(?P<mark>(?:floor|at most) [^:]*): (?P<verdict>kept|MISSED)"
)


def rows(output: str) -> list[tuple[str, str, str, str, str]]:
    """(title, value, range, mark, verdict) of every line that is held against something.

    >>> out = "a thing (7 repeats)\\n  fast  median 1.0\\n  ratio   median 4.0x  range 3.0x to 5.0x  floor 3x: kept; told"
    >>> rows(out)
    [('a thing', '4.0x', '3.0x to 5.0x', 'floor 3x', 'kept')]
    """
    found, title = [], ""
    for line in output.splitlines():
        if line and not line[0].isspace():
            title = line.partition(" (")[0]
        elif match := ROW.match(line):
            what = title if match["name"] == "ratio" else f"{title}: {match['name']}"
            found.append(
                (what, match["value"].removeprefix("median "), match["range"] or "", match["mark"], match["verdict"])
            )
    return found


def run(file: Path) -> tuple[str, bool]:
    """A benchmark's output, shown as it comes, and whether it ran to its end."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    lines = []
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True, env=settings) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), process.returncode == 0


def main(parts: list[str]) -> int:
    table, failed, began = [], [], time.monotonic()
    for file in sorted(HERE.glob("bench_*.py")):
        if not parts or any(part in file.name for part in parts):
            print(f"\n== {file.name}", flush=True)
            output, whole = run(file)
            table += rows(output)
            failed += [] if whole else [file.name]
    print(f"\n== all, {(time.monotonic() - began) / 60:.1f} minutes; missed marks first")
    table.sort(key=lambda row: row[-1] != "MISSED")
    for what, value, spread, mark, verdict in table:
        print(f"{verdict:6s}  {value:>10s}  {spread:18s}  {mark:16s}  {what}")
    for name in failed:
        print(f"FAILED  {name} did not run to its end")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
