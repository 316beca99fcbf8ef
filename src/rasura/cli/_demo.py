"""The steps of the demo on one testbed; a finished step is read back by the content it depends on."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def for_testbeds(family: str, modality: str) -> list[Any]:
    """Every method of a family; one whose published settings mean nothing at this size says which to use instead."""
    from rasura._inputs import Everything
    from rasura.core import registry

    classes = [registry.get(family, name) for name in registry.fitting(family, modality)]
    return Everything(cls(**getattr(cls, "testbed_settings", {})) for cls in classes)


def _quick(signals: list[Any]) -> list[Any]:
    """Those that need few passes a record: a demo is minutes. ``rasura audit`` runs the others too."""
    from rasura._costs import cost_of
    from rasura._inputs import Everything

    return Everything(s for s in signals if sum(cost_of(s)) <= MOST_PASSES)


MOST_PASSES = 12  # forward and backward, a record and signal
FORGET = 16  # prompts of the concept that everything is drawn for
SHOWN = {"paraphrases": 16, "near": 24, "far": 24, "pictures": 128}  # records of each population a verification draws


def _some(samples: Any, n: int) -> Any:
    """n of them, spread evenly: a demo is quick, and its intervals say what that costs."""
    return samples.take(i * len(samples) // n for i in range(n)) if len(samples) > n else samples


@contextmanager
def _looking(loop: Loop) -> Iterator[None]:
    """A second process that runs ``looked`` for the cache's sake while the block runs; then it is waited for."""
    helps = loop.planted.judge is not None and loop.target.device.type == "cpu" and (os.cpu_count() or 1) > 1
    if not helps:
        yield
        return
    source = str(Path(__file__).parents[2])
    paths = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH", "")) if p)
    words = [sys.executable, "-m", "rasura.cli._demo", loop.testbed, loop.size, str(loop.seed)]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        try:
            yield
            process.wait()
        finally:
            process.terminate()


class Loop:
    """audit, extract, erase, verify on planted truth; for text-to-image models the windows too."""

    def __init__(self, testbed: str, size: str, seed: int, progress: Any = None) -> None:
        from rasura._erase import as_request
        from rasura.core import registry
        from rasura.core.types import Request

        from ._common import engine_for

        self.testbed, self.size, self.seed = testbed, size, seed
        quiet = {} if progress is None else {"progress": progress}
        self.planted = planted = registry.make("testbeds", testbed, {"size": size}).build(seed, **quiet)
        self.target = planted.models["target"]
        self.engine = engine_for(None)
        forget = planted.forget if planted.judge is None else planted.forget.take(range(FORGET))
        asked = Request(forget, planted.retain, planted.concept or None, planted.judge)
        self.request = as_request(self.target, asked)

    def records(self, out: Path) -> Mapping[str, Any]:
        """All records by name; the erased model is written under ``out``.

        Looking (audit, extraction, windows) and erasing do not wait for each other: with pictures, which cost the most,
        another process looks meanwhile, and what it finished is read back.
        """
        with _looking(self):
            erased, erasure = self.erasure(out)
            verification = self.verification(erased)
        found = self.looked()
        return {**found, "erasure": erasure, "verification": verification}

    def looked(self) -> dict[str, Any]:
        """The records that need no erasure."""
        found = {"audit": self.audit(), "extraction": self.extraction()}
        return found if self.planted.judge is None else {**found, "windows": self.windows()}

    def audit(self) -> Any:
        from rasura._audit import audit

        p = self.planted
        return self._once(
            "audit",
            [role for role in ("target", "reference") if role in p.models],
            [p.members, p.nonmembers],
            lambda: audit(
                self.target,
                p.members,
                p.nonmembers,
                reference=p.models.get("reference"),
                signals=_quick(for_testbeds("signals", self.target.modality)),
                engine=self.engine,
                seed=self.seed,
            ),
        )

    def extraction(self) -> Any:
        from rasura._extract import extract

        p, pictures = self.planted, self.target.modality == "images"
        return self._once(
            "extraction",
            ["target"],
            [p.members, p.nonmembers],
            lambda: extract(
                self.target,
                p.members,
                nonmembers=p.nonmembers,
                methods=for_testbeds("extraction", self.target.modality),
                reveal=pictures,  # rendered, nobody's: a demo without pictures would show nothing
                engine=self.engine,
            ),
        )

    def windows(self) -> Any:
        from rasura._windows import windows

        prompts = self.planted.more["ordinary"].take(range(48))
        return self._once(
            "windows",
            ["target"],
            [prompts],
            lambda: windows(self.target, prompts, self.planted.judge, engine=self.engine, seed=self.seed),
        )

    def erasure(self, out: Path) -> tuple[Any, Any]:
        """The erased model and its record; the model is also written under ``out``."""
        from rasura._erase import erase
        from rasura.core.records import read, write
        from rasura.models.loading import load

        kept = self._place("erasure", ["target"], [self.request.forget, self.request.retain])
        if not kept.is_dir():
            erased = erase(self.target, self.request, method=self._eraser(), engine=self.engine, seed=self.seed)
            partial = kept.with_name(f".{kept.name}.{os.getpid()}.partial")  # two demos do not share it
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True, mode=0o700)
            erased.model.save(str(partial))
            write(erased.record, partial / "erasure.json")
            if kept.is_dir():  # another demo was first
                shutil.rmtree(partial)
            else:
                partial.rename(kept)
        shutil.copytree(kept, out / "erased", dirs_exist_ok=True)
        record, model = read(kept / "erasure.json"), load(str(kept), device="cpu")
        model.name, model.treatments = "erased", record.models[1].treatments
        return model, record

    def _eraser(self) -> Any:
        """The default eraser, with the settings its class names for testbeds, towards a neighbour of the concept."""
        from rasura._erase import DEFAULT, treatment_of

        treatment = treatment_of(DEFAULT[self.target.modality])
        settings = dict(getattr(type(treatment), "testbed_settings", {}))
        if hasattr(treatment, "guide"):
            settings["guide"] = sorted({s.shows for s in self.planted.more["near"]})[0]
        return dataclasses.replace(treatment, **settings)

    def verification(self, erased: Any) -> Any:
        from rasura._verify import verify

        p = self.planted
        comparison = {"nonmembers": p.like(p.forget), "heldout": p.heldout}
        comparison |= {name: _some(p.more[name], n) for name, n in SHOWN.items() if name in p.more}
        attacks = for_testbeds("attacks", self.target.modality) if p.judge is not None else None
        return self._once(
            "verification",
            list(p.models),
            [self.request.forget, self.request.retain, *comparison.values()],
            lambda: verify(
                self.target,
                erased,
                self.request,
                retrained=p.models["retrained"],
                comparison={name: side for name, side in comparison.items() if side},
                attacks=attacks,
                engine=self.engine,
                seed=self.seed,
            ),
            extra=erased.fingerprint,
        )

    def _once(self, name: str, roles: list[str], sides: list[Any], compute: Callable[[], Any], extra: str = "") -> Any:
        """A record read back, or computed and kept."""
        from rasura.core.records import read, write

        path = self._place(name, roles, sides, extra).with_suffix(".json")
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(compute(), path)
        return read(path)

    def _place(self, name: str, roles: list[str], sides: list[Any], extra: str = "") -> Path:
        """Named by everything the step depends on, this program's own source included."""
        from rasura.core.types import digest
        from rasura.testbeds._folder import default_cache

        from ._source import source_digest

        models = [self.planted.models[role].fingerprint for role in roles]
        key = digest(
            [name, source_digest(), self.seed, models, [s.digest for s in sides], [list(s.ids) for s in sides], extra]
        )
        return default_cache() / "steps" / f"{name}-{key}"


if __name__ == "__main__":
    Loop(sys.argv[1], sys.argv[2], int(sys.argv[3])).looked()
