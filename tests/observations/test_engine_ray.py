"""A cluster computes the shards one process would, byte for byte; losing a worker costs what that worker had under way."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from _several import environment
from rasura.core.errors import MissingDependency
from rasura.observations import _engine_ray
from rasura.observations._engine_crews import crew

HERE = Path(__file__).parent
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs rasura[cluster]")

# A process of its own: Ray's warnings and its children must not outlive or disturb the other tests.
BEGIN = textwrap.dedent(f"""
    import os, signal, sys, threading, time
    from pathlib import Path
    sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
    import _tiny
    from _steps import Steps
    from rasura.core.errors import BadInput
    from rasura.core.store import Store
    from rasura.core.types import Ask, Samples, Treated
    from rasura.models.noise import WeightNoise
    from rasura.observations._engine import Engine
    from rasura.observations._engine_crews import crew
    from rasura.observations.token_statistics import TokenStatistics
    folder, model = Path(sys.argv[1]), _tiny.neox()
    trace, samples = folder / "trace", Samples.of(_tiny.texts(60, seed=11))
    import ray
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
""")


def run(code: str, folder: Path) -> str:
    paths = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "src")]
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(code), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(PYTHONPATH=":".join(paths)),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def shards(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.parquet")}


@with_ray
@pytest.mark.slow
def test_a_cluster_computes_what_one_process_would(tmp_path):
    """A store by URL and one in memory, a plain pass and one under noise, an error of a worker as one's own."""
    out = run(
        """
        asks = [Ask(TokenStatistics()), Ask(TokenStatistics(), Treated("target", WeightNoise(0.05, 3, 1)))]
        Engine(Store(folder / "one"), shard=16).observe_all(asks, {"target": model}, samples)
        there = Engine(Store(f"file://{folder}/cluster"), shard=16, crew=crew("ray"))
        here = Engine(Store(), shard=16, crew=crew("ray"))
        for engine in (there, here):
            found = engine.observe_all(asks, {"target": model}, samples)
            print("bill", [p.computed for p in engine.passes], [len(d.tokens) for d in found.values()])
        for path in here.store.files.find(here.store.base):
            target = folder / "memory" / path.removeprefix(here.store.base + "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(here.store.files.cat_file(path))
        try:
            Engine(Store(), shard=16, crew=crew("ray")).observe(Ask(Steps(str(trace), 0.0, refuses=samples[20].text)), {"target": model}, samples)
        except BadInput as error:
            print("refused", "deliberate" in str(error))
        """,
        tmp_path,
    )
    assert out.splitlines() == ["bill [60, 60] [60, 60]"] * 2 + ["refused True"]
    assert shards(tmp_path / "one") and shards(tmp_path / "one") == shards(tmp_path / "cluster") == shards(
        tmp_path / "memory"
    )


@with_ray
@pytest.mark.slow
def test_a_killed_worker_costs_only_what_it_had_under_way(tmp_path):
    """kill -9 of a worker in the middle of a shard: the run completes, and every finished shard was computed once."""
    out = run(
        """
        def kill():
            lines, seen = [], 0
            while "begins" not in [line.split()[0] for line in lines[seen:]] or seen < 6:
                seen = len(lines)  # a shard that has only just begun: it will not end before the signal
                time.sleep(0.01)
                lines = trace.read_text().splitlines() if trace.exists() else []
            pid = int(next(line.split()[1] for line in lines[seen:] if line.startswith("begins")))
            os.kill(pid, signal.SIGKILL)
            print("killed", pid)
        killer = threading.Thread(target=kill)
        killer.start()
        engine = Engine(Store(f"file://{folder}/cluster"), shard=5, crew=crew("ray"))
        found = engine.observe(Ask(Steps(str(trace), seconds=1.5)), {"target": model}, samples)
        killer.join()
        assert found.length.tolist() == [len(s.text) for s in samples]
        print("computed", engine.passes[0].computed)
        """,
        tmp_path,
    )
    killed = int(out.split()[1])
    lines = [line.split(" ", 2) for line in (tmp_path / "trace").read_text().splitlines()]
    begun, ended = (Counter(shard for what, _, shard in lines if what == w) for w in ("begins", "ends"))
    lost = {shard for what, pid, shard in lines if what == "begins" and int(pid) == killed} - {
        shard for what, pid, shard in lines if what == "ends" and int(pid) == killed
    }
    assert len(begun) == 12 and set(ended.values()) == {1}, "each shard was finished exactly once"
    assert len(lost) == 1 and {s for s, n in begun.items() if n > 1} == lost, (
        "only what the dead worker had was begun again"
    )
    assert "computed 60" in out


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'rasura\[cluster\]'"):
        crew("ray")
    assert not _engine_ray.IN_WORKER
