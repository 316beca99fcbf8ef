"""Fuzz the readers, the record parser and the page for as long as is wanted: ``python tests/fuzz/run.py --minutes 30``.

Every round gives each target new seeds. A failure is printed with the smallest input that shows it; put that input into
``test_fuzz.py`` as an ``@example``. Prints inputs and seconds a target; exit code 1 when anything failed.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import test_fuzz as quick  # noqa: E402
from hypothesis import Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import _fuzz_properties as must  # noqa: E402
import _fuzz_strategies as make  # noqa: E402

PHASES = (Phase.generate, Phase.target, Phase.shrink)


def targets() -> dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Any]]]:
    """name -> (inputs, what must hold of each)."""
    found: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Any]]] = {}
    for name in make.FILES:
        found[f"reader of {name}"] = (make.broken(quick.GOOD[name]), lambda data, n=name: must.reads_samples(n, data))
    for name in make.PICTURES:
        found[f"picture {name}"] = (make.broken(quick.GOOD[name]), lambda data, n=name: must.reads_picture(n, data))
    found["training order"] = (make.broken(quick.ORDER), must.reads_transcript)
    found["key"] = (make.broken(quick.a_key()), must.reads_key)
    found["configuration"] = (make.broken(quick.CONFIG), must.reads_configuration)
    found["record, bytes changed"] = (quick.record_bytes(), must.reads_record)
    found["record, values changed"] = (quick.changed_records(), lambda text: must.reads_record(text.encode()))
    found["record, written and read"] = (make.records(), must.survives)
    found["page of a record"] = (make.records(), must.is_inert)
    found["page of a changed record"] = (quick.changed_runs(), must.page_of_text)
    return found


def run(minutes: float, only: str = "", start: int = 0) -> int:
    """Rounds until the time is over; the number of targets that failed."""
    chosen = {name: target for name, target in targets().items() if only in name}
    inputs: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    failed: set[str] = set()
    end, number = time.monotonic() + 60 * minutes, start
    while time.monotonic() < end and chosen:
        number += 1
        for name, (strategy, holds) in list(chosen.items()):
            before = time.monotonic()
            if before >= end:
                break
            if not one_round(name, strategy, holds, number, inputs):
                failed.add(name)
                del chosen[name]
            seconds[name] += time.monotonic() - before
    for name in inputs:
        print(f"{name:26} {inputs[name]:>8,} inputs {seconds[name]:>7.0f} s  {'FAILED' if name in failed else 'clean'}")
    print(f"{sum(inputs.values()):,} inputs in {sum(seconds.values()) / 60:.1f} minutes, {len(failed)} targets failed")
    return len(failed)


def one_round(name: str, strategy: Any, holds: Callable[[Any], Any], number: int, inputs: Counter[str]) -> bool:
    """Some inputs of one target; False and a printed failure when one of them breaks what must hold."""

    @seed(number)
    @settings(
        max_examples=20 if name.startswith("page") else 200,
        deadline=None,
        database=None,
        derandomize=False,
        phases=PHASES,
        suppress_health_check=quick.SLOW,
    )
    @given(strategy)
    def round_(value: Any) -> None:
        inputs[name] += 1
        holds(value)

    try:
        round_()
    except Exception:
        story = traceback.format_exc().encode("utf-8", "backslashreplace").decode()
        print(f"--- {name}, seed {number}\n{story}", flush=True)
        return False
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--only", default="", help="targets whose name holds this word")
    parser.add_argument("--seed", type=int, default=0, help="start after this round")
    given_ = parser.parse_args()
    sys.exit(1 if run(given_.minutes, given_.only, given_.seed) else 0)
