"""Fuzz what parses bytes in Python, guided by which lines run: ``python tests/fuzz/guided.py --minutes 10``.

Needs ``pip install atheris`` (not installed with the tests: it has builds for few systems). The properties are those of
``run.py``; here inputs grow from the good files towards lines of the package not seen yet. Every target runs in a process
of its own. A failure is printed with its input in hexadecimals, to become an ``@example`` in ``test_fuzz.py``. Prints
inputs and branches a target; exit code 1 when anything failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

SEEN = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")


def targets() -> dict[str, bytes]:
    """Name of a target of ``run.py`` -> a good input. Formats that other libraries parse are left out."""
    import test_fuzz as quick

    plain = (".jsonl", ".json", ".csv", ".tsv", ".txt")
    own = {f"reader of {name}": data for name, data in quick.GOOD.items() if name.endswith(plain)}
    parts = {"training order": quick.ORDER, "key": quick.a_key(), "configuration": quick.CONFIG}
    return own | parts | {"record, bytes changed": json.dumps(quick.VERDICT).encode()}


def watch(name: str, minutes: float) -> tuple[int, int, str]:
    """(inputs, branches reached, what failed) of one target, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        start, dictionary = Path(folder) / "start", Path(folder) / "words"
        start.mkdir()
        (start / "good").write_bytes(targets()[name])
        dictionary.write_text("\n".join(words()) + "\n")
        flags = [
            f"-max_total_time={60 * minutes:.0f}",
            "-max_len=4096",
            f"-dict={dictionary}",
            f"-artifact_prefix={folder}/",
        ]
        run = subprocess.run(
            [sys.executable, __file__, "--inside", name, *flags, str(start)],
            capture_output=True,
            text=True,
            errors="replace",
        )
        seen = SEEN.findall(run.stderr) or [("0", "0")]
        bad = [path.read_bytes().hex() for path in Path(folder).glob("*-*") if path.is_file()]
        failed = "" if run.returncode == 0 else f"{run.stdout[-2000:]}{run.stderr[-1000:]}\ninput: {' '.join(bad)}"
        return int(seen[-1][0]), int(seen[-1][1]), failed


def words() -> list[str]:
    """Pieces worth putting into an input, as libFuzzer's dictionary writes them."""
    import _fuzz_strategies as make

    short = [token for token in make.TOKENS if 0 < len(token) <= 64]
    return ['"' + "".join(f"\\x{byte:02x}" for byte in token) + '"' for token in short]


def inside(name: str, flags: list[str]) -> None:
    """The process of one target: never returns."""
    import atheris

    with atheris.instrument_imports(include=["rasura"]):
        import run  # makes inputs, which reads modules that are otherwise read when first needed

        import rasura._mark
        import rasura.core.records
        import rasura.data.readers
        import rasura.data.transcripts
        import rasura.models._folder  # noqa: F401

    _, holds = run.targets()[name]
    atheris.Setup([sys.argv[0], *flags], lambda data: holds(bytes(data)))
    atheris.Fuzz()


def main(minutes: float, only: str) -> int:
    failures = 0
    for name in [name for name in targets() if only in name]:
        inputs, branches, failed = watch(name, minutes)
        failures += bool(failed)
        print(f"{name:22} {inputs:>9,} inputs {branches:>6,} branches  {'FAILED' if failed else 'clean'}", flush=True)
        print(failed, end="")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    parser.add_argument("--only", default="", help="targets whose name holds this word")
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.only))
