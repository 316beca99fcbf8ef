"""``rasura demo``: the whole loop on a testbed, ending in a report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ._common import prepare_out
from ._output import emit, say


@click.command(epilog="\b\nExample:\n  rasura demo\n  rasura demo --size tiny --out runs/tiny")
@click.option("--size", type=click.Choice(["tiny", "small"]), default="small", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for records, models and the page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def demo(size: str, seed: int, out: Path, as_json: bool) -> None:
    """Build a testbed, audit it, extract from it, erase a planted forget set, attack the result, write a report.

    Finished work is kept in the user's cache by content, so a second run computes nothing again.
    """

    from rasura.core import registry
    from rasura.report import write_report

    from ._progress import progress

    folder = prepare_out(out)
    assert folder is not None
    planted = registry.make("testbeds", "language", {"size": size}).build(seed, progress=progress)
    loop = Loop(planted, seed)
    records = {"audit": loop.audit(), "extraction": loop.extraction()}
    erased, records["erasure"] = loop.erasure(folder)
    records["verification"] = loop.verification(erased)
    from rasura.core.records import write

    for name, record in records.items():
        write(record, folder / f"{name}.json")
    page = write_report(folder)
    if as_json:
        emit({"report": str(page), "verdicts": {n: r.verdict for n, r in records.items()}}, True)
        return
    for name in ("audit", "extraction", "verification"):
        say(f"{name}: {records[name].verdict}\n")
    say(f"report: {page}")


def for_testbeds(family: str) -> list[Any]:
    """Every method of a family; one whose published settings mean nothing at this size says which to use instead."""
    from rasura._inputs import Everything
    from rasura.core import registry

    classes = [registry.get(family, name) for name in registry.names(family)]
    return Everything(cls(**getattr(cls, "testbed_settings", {})) for cls in classes)


class Loop:
    """The steps of the demo on one testbed; a finished step is read back by the content it depends on."""

    def __init__(self, planted: Any, seed: int) -> None:
        from rasura._erase import as_request

        from ._common import engine_for

        self.planted, self.seed = planted, seed
        self.engine = engine_for(None)
        self.request = as_request(planted.models["target"], planted.forget, planted.retain)

    def audit(self) -> Any:
        from rasura._audit import audit

        p = self.planted
        return self._once(
            "audit",
            ["target", "reference"],
            [p.members, p.nonmembers],
            lambda: audit(
                p.models["target"],
                p.members,
                p.nonmembers,
                reference=p.models["reference"],
                signals=for_testbeds("signals"),
                engine=self.engine,
                seed=self.seed,
            ),
        )

    def extraction(self) -> Any:
        from rasura._extract import extract

        p = self.planted
        return self._once(
            "extraction",
            ["target"],
            [p.members, p.nonmembers],
            lambda: extract(p.models["target"], p.members, nonmembers=p.nonmembers, engine=self.engine),
        )

    def erasure(self, out: Path) -> tuple[Any, Any]:
        """The erased model and its record; the model is also written under ``out``."""
        from rasura._erase import erase
        from rasura.core.records import read, write
        from rasura.models.causal_lm import CausalLM

        kept = self._place("erasure", ["target"], [self.request.forget, self.request.retain])
        if not kept.is_dir():
            erased = erase(
                self.planted.models["target"],
                self.request.forget,
                self.request.retain,
                engine=self.engine,
                seed=self.seed,
            )
            partial = kept.with_name(f".{kept.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True, mode=0o700)
            erased.model.save(str(partial))
            write(erased.record, partial / "erasure.json")
            partial.rename(kept)
        shutil.copytree(kept, out / "erased", dirs_exist_ok=True)
        record = read(kept / "erasure.json")
        model = CausalLM.load(str(kept))
        return CausalLM(model.module, model.tokenizer, name="erased", treatments=record.models[1].treatments), record

    def verification(self, erased: Any) -> Any:
        from rasura._verify import verify

        p = self.planted
        comparison = {"nonmembers": p.like(p.forget), "heldout": p.heldout}
        sides = [self.request.forget, self.request.retain, *comparison.values()]
        return self._once(
            "verification",
            list(p.models),
            sides,
            lambda: verify(
                p.models["target"],
                erased,
                self.request,
                retrained=p.models["retrained"],
                comparison=comparison,
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
