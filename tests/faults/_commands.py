"""The five commands on tiny models, each in a process of its own that can be killed, starved or raced.

Run as a script: ``python _commands.py FOLDER SCENARIO [NUMBER]``; prints one line of JSON. This process imports everything
and computes nothing itself; the commands run in its children, so many of them cost one import.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

STAGES = ("audit", "extract", "erase", "verify", "report")
ERASE = "steps=6 checkpoint_every=2 probe_every=2 warmup=1".split()
LAST = {"audit": "audit.json", "extract": "extraction.json", "erase": "config.json", "verify": "verification.json", "report": "report.html"}  # fmt: skip
MARKS = os.O_WRONLY | os.O_RDWR


class Ground:
    """A folder with models and records; what a command makes goes to a folder below it, its shards to another."""

    def __init__(self, folder: Path) -> None:
        import _tiny
        from rasura.data.writers import write_samples

        self.folder, planted = folder, _tiny.planted()
        for name in ("members", "nonmembers", "forget", "retain"):
            write_samples(getattr(planted, name).take(range(8)), folder / f"{name}.jsonl")
        for role in ("target", "reference", "retrained"):
            planted.models[role].save(str(folder / role))

    def words(self, stage: str, out: str, store: str) -> list[str]:
        """The command of a stage. ``erase`` writes to OUT-erased; ``verify`` reads what the whole run erased."""
        at = {name: str(self.folder / name) for name in ("target", "reference", "retrained", "whole-erased")}
        data = {name: str(self.folder / f"{name}.jsonl") for name in ("members", "nonmembers", "forget", "retain")}
        sides = ["--forget", data["forget"], "--retain", data["retain"]]
        kept, to = ["--store", str(self.folder / store)], ["--out", str(self.folder / out)]
        return {
            "audit": ["audit", at["target"], "--members", data["members"], "--nonmembers", data["nonmembers"], "--reference", at["reference"], "--signals", "loss,reference,min_k,gradient_norm", *kept, *to],
            "extract": ["extract", at["target"], "--records", data["members"], "--nonmembers", data["nonmembers"], "--method", "verbatim", "--prefix-tokens", "8", *kept, *to],
            "erase": ["erase", at["target"], *sides, *(w for s in ERASE for w in ("--set", f"loop.{s}")), *kept, "--out", f"{to[1]}-erased"],
            "verify": ["verify", at["target"], at["whole-erased"], *sides, "--retrained", at["retrained"], "--attack", "prefixes", *kept, *to],
            "report": ["report", to[1]],
        }[stage]  # fmt: skip

    def start(self, words: list[str], before: Callable[[], None] = lambda: None) -> int:
        """The process of a command; what it says on standard error goes to ``errors``."""
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 99
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(self.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
            from rasura.cli import main

            before()
            main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)

    @property
    def errors(self) -> Path:
        return self.folder / "errors.txt"

    def run(self, stage: str, out: str, store: str, before: Callable[[], None] = lambda: None) -> int:
        return ended(self.start(self.words(stage, out, store), before))

    def made(self, stage: str, out: str, store: str) -> dict[str, bytes]:
        """What a stage leaves behind, byte for byte; nothing hidden, nothing half-written."""
        place = self.folder / (f"{out}-erased" if stage == "erase" else f"{out}/{LAST[stage]}")
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        return {p.relative_to(place).as_posix(): p.read_bytes() for p in files} | self.shards(store)

    def shards(self, store: str) -> dict[str, bytes]:
        base = self.folder / store
        return {p.relative_to(base).as_posix(): p.read_bytes() for p in base.rglob("*.parquet")}

    def clear(self, stage: str, out: str, store: str) -> None:
        """As if the stage had never run; a report keeps the records it reads."""
        shutil.rmtree(self.folder / store, ignore_errors=True)
        shutil.rmtree(self.folder / f"{out}-erased", ignore_errors=True)
        if stage == "report":
            shutil.copytree(self.folder / "records", self.folder / out, dirs_exist_ok=True)
            (self.folder / out / "report.html").unlink(missing_ok=True)
        else:
            shutil.rmtree(self.folder / out, ignore_errors=True)


def ended(pid: int) -> int:
    """Its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def counted(folder: Path, shared: mmap.mmap, until: int | str = "") -> None:
    """Counts this process's renames and files opened to be written below ``folder``, where its parent sees the number.

    kill -9 just before the one of that number, or before a file of that name is moved into its place.
    """

    def hook(event: str, args: tuple) -> None:
        if event not in ("os.rename", "open") or not str(args[0]).startswith(str(folder)):
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & MARKS):
            return
        shared[0] += 1
        if shared[0] == until or (event == "os.rename" and str(args[1]).endswith(f"/{until}") and ".partial" not in str(args[1])):  # fmt: skip
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def whole_runs(ground: Ground) -> dict[str, tuple[dict[str, bytes], int, float]]:
    """stage -> (what an uninterrupted run leaves, its renames and openings, seconds)."""
    found = {}
    for stage in STAGES:
        if stage == "report":
            shutil.copytree(ground.folder / "whole", ground.folder / "records")
        shared, store, began = mmap.mmap(-1, 1), f"store-{stage}", time.monotonic()
        code = ground.run(stage, "whole", store, lambda shared=shared: counted(ground.folder, shared))
        assert code == 0, (stage, code, ground.errors.read_text())
        found[stage] = (ground.made(stage, "whole", store), shared[0], time.monotonic() - began)
    return found


def well(ground: Ground, stage: str, whole: dict[str, bytes], out: str, store: str) -> bool:
    """Whatever is visible after a kill is a part of the whole: each shard, and the model only with all of its files."""
    erased = ground.folder / f"{out}-erased"
    if stage == "erase" and (erased / "config.json").exists():
        names = {p.name for p in erased.glob("model*")} | {p.name for p in erased.glob("tokenizer*")}
        if any((erased / n).read_bytes() != whole[n] for n in names) or "model.safetensors" not in names:
            return False
    return all(whole.get(name) == content for name, content in ground.shards(store).items())


def kills(ground: Ground, moments: Callable, wanted: int) -> dict:
    """Every stage killed at its moments, run again to its end, compared with the run that nobody killed."""
    wholes, told = whole_runs(ground), {}
    for stage in STAGES:
        whole, events, seconds = wholes[stage]
        killed = wrong = rounds = 0
        ground.clear(stage, "b", "killed")
        for kill in moments(stage, events, seconds):
            if killed == wanted:
                break
            code = kill(ground, ground.words(stage, "b", "killed"))
            killed += code == -signal.SIGKILL
            wrong += code not in (0, -signal.SIGKILL) or not well(ground, stage, whole, "b", "killed")
            if code == 0:  # it was done before the kill: from the start, so that the next one hits a running command
                wrong += ground.made(stage, "b", "killed") != whole
                ground.clear(stage, "b", "killed")
                rounds += 1
        code = ground.run(stage, "b", "killed")
        same = ground.made(stage, "b", "killed") == whole
        told[stage] = {"killed": killed, "wrong": wrong, "code": code, "same": same, "files": len(whole), "events": events, "finished early": rounds}  # fmt: skip
    return told


def at_events(stage: str, events: int, seconds: float) -> list[Callable]:
    """Half-way through its writing, and just before the last file is moved into its place."""

    def at(until: int | str) -> Callable:
        return lambda ground, words: ended(ground.start(words, lambda: counted(ground.folder, mmap.mmap(-1, 1), until)))

    return [at(max(1, events // 2)), at(LAST[stage])]


def at_random(stage: str, events: int, seconds: float) -> list[Callable]:
    """Moments drawn evenly from the length of the command: more than are wanted, since a resumed command is shorter."""
    rng = random.Random(stage)

    def kill(ground: Ground, words: list[str]) -> int:
        pid = ground.start(words)
        time.sleep(rng.uniform(0.02, 0.95) * seconds)
        os.kill(pid, signal.SIGKILL)
        return ended(pid)

    return [kill] * 100


def full_disk(ground: Ground) -> dict:
    """No file may grow past a limit: each command ends in one line, and the same command with room ends the same."""
    wholes, told = whole_runs(ground), {}
    for stage in STAGES:
        whole = wholes[stage][0]
        ground.clear(stage, "b", "starved")
        most = max(len(content) for content in whole.values())
        code = ground.run(stage, "b", "starved", lambda most=most: limit(most - 1))
        said, rest = ground.errors.read_text(), [p.name for p in ground.folder.rglob("*.partial")]
        shown = ground.made(stage, "b", "starved")
        again = ground.run(stage, "b", "starved")
        same = ground.made(stage, "b", "starved") == whole
        told[stage] = {"code": code, "said": said, "rest": rest, "again": again, "same": same, "only_whole": all(whole.get(n) == c for n, c in shown.items() if not n.startswith("training-"))}  # fmt: skip
    return told


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def nowhere(ground: Ground) -> dict:
    """Output and store where nothing can be made, whoever runs this."""
    told = {}
    for stage in STAGES:
        if stage == "report":
            (ground.folder / "b").mkdir(exist_ok=True)
            ground.run("audit", "b", "store")
        for option in ("--out",) if stage == "report" else ("--out", "--store"):
            words = ground.words(stage, "b", "store")
            words = [*words, "--out", "x"] if option not in words else words
            words[words.index(option) + 1] = "/proc/rasura/page.html" if stage == "report" else "/proc/rasura"
            if stage == "verify":
                words[2] = str(ground.folder / "retrained")
            code = ended(ground.start(words))
            told[f"{stage} {option}"] = {"code": code, "said": ground.errors.read_text()}
    return told


def together(ground: Ground) -> dict:
    """Three audits at once on one new store."""
    pids = [ground.start(ground.words("audit", out, "shared")) for out in ("one", "two", "three")]
    codes = [ended(pid) for pid in pids]
    alone = ground.run("audit", "alone", "own")
    records = {(ground.folder / out / "audit.json").read_bytes() for out in ("one", "two", "three", "alone")}
    rest = [p.name for p in (ground.folder / "shared").rglob("*") if p.is_file() and p.suffix != ".parquet"]
    return {"codes": [*codes, alone], "records": len(records), "same": ground.shards("shared") == ground.shards("own"), "rest": rest}  # fmt: skip


def clock(ground: Ground) -> dict:
    """Shards from the year 2100, a clock in 1990 that runs backwards."""

    def jump() -> None:
        now = iter(range(631152000, 0, -1))
        time.time = lambda: float(next(now))

    first = ground.run("audit", "a", "store")
    kept = list((ground.folder / "store").rglob("*.parquet"))
    for shard in kept:
        os.utime(shard, (4102444800, 4102444800))
    second = ground.run("audit", "b", "store", jump)
    records = {(ground.folder / out / "audit.json").read_bytes() for out in ("a", "b")}
    untouched = all(shard.stat().st_mtime == 4102444800 for shard in kept)
    return {"codes": [first, second], "records": len(records), "untouched": untouched, "shards": len(kept)}


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.feature_extraction.text  # noqa: F401

    import rasura._audit
    import rasura._erase
    import rasura._extract
    import rasura._verify
    import rasura.report.page
    import rasura.stats.blind  # noqa: F401

    place = Ground(Path(sys.argv[1]))
    scenarios = {
        "fixed": lambda: {"kills": kills(place, at_events, 2), "together": together(place)},
        "random": lambda: kills(place, at_random, int(sys.argv[3])),
        "full": lambda: full_disk(place),
        "nowhere": lambda: nowhere(place),
        "clock": lambda: clock(place),
    }
    print(json.dumps(scenarios[sys.argv[2]]()))
