"""kill -9 during an audit, ten times at random moments: the rerun's record is that of an uninterrupted run, byte for byte."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]

# One process imports everything and never computes; its children audit and are killed, so ten kills cost no ten imports.
SCRIPT = textwrap.dedent("""
    import os, random, signal, sys, time
    sys.path[:0] = [{tests!r}, {source!r}]
    import torch
    torch.set_num_threads(1)
    import _tiny
    from rasura.cli import main
    import rasura._audit, rasura.stats.blind, sklearn.feature_extraction.text, scipy.stats, pyarrow.parquet

    folder = sys.argv[1]
    planted = _tiny.planted()
    from rasura.data.writers import write_samples
    for name in ("members", "nonmembers"):
        write_samples(getattr(planted, name), f"{{folder}}/{{name}}.jsonl")
    for role in ("target", "reference"):
        planted.models[role].save(f"{{folder}}/{{role}}")

    def audit(store, out):
        pid = os.fork()
        if pid:
            return pid
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            main(["audit", f"{{folder}}/target", "--members", f"{{folder}}/members.jsonl", "--nonmembers", f"{{folder}}/nonmembers.jsonl",
                  "--reference", f"{{folder}}/reference", "--signals", "loss,reference,min_k,gradient_norm,mope", "--store", f"{{folder}}/{{store}}", "--out", f"{{folder}}/{{out}}"])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        os._exit(99)

    began = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(audit("whole", "a"), 0)[1]) == 0
    length = time.monotonic() - began
    moments, killed = random.Random(0), 0
    for _ in range(10):
        pid = audit("store", "b")
        time.sleep(moments.uniform(0.02, 0.15) * length)
        os.kill(pid, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert os.waitstatus_to_exitcode(os.waitpid(audit("store", "b"), 0)[1]) == 0
    print("killed", killed)
""")


def test_ten_kills_leave_the_same_record(tmp_path):
    script = SCRIPT.format(tests=str(ROOT / "tests"), source=str(ROOT / "src"))
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= 8, "the kills must hit a running audit"
    assert (tmp_path / "a" / "audit.json").read_bytes() == (tmp_path / "b" / "audit.json").read_bytes()
    shards = {p.relative_to(tmp_path / "whole"): p.read_bytes() for p in (tmp_path / "whole").rglob("*.parquet")}
    again = {p.relative_to(tmp_path / "store"): p.read_bytes() for p in (tmp_path / "store").rglob("*.parquet")}
    assert shards and shards == again
