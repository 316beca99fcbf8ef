"""``rasura audit``"""

from __future__ import annotations

from typing import Any

import click

from ._common import (
    Share,
    data_options,
    engine_for,
    finish,
    load_judge,
    load_model,
    load_samples,
    model_options,
    prepare_out,
    run_options,
    settings_option,
)
from ._output import say


@click.command(
    epilog="""\b
Example:
  rasura audit MODEL --members train.jsonl --nonmembers heldout.jsonl --reference BASE --out runs/a
  rasura audit MODEL --members a.csv --nonmembers b.csv --signal loss --signal min_k --set min_k.k=0.3
  rasura audit PIPELINE --windows --members prompts.jsonl --judge judge/ --out runs/w
  rasura audit MODEL --mark marked/mark.json
  rasura audit MODEL --transcript order.jsonl --reference OTHER"""
)
@click.argument("model")
@click.option("--members", default=None, help="Records that were (or may have been) trained on.")
@click.option("--nonmembers", default=None, help="Comparable records that were not.")
@click.option("--mark", "key", default=None, help="The key of marked texts (mark.json): has the model read them?")
@click.option(
    "--transcript",
    default=None,
    help="Your training's texts in their order (JSON lines: text, position): is the model a descendant?",
)
@click.option(
    "--windows",
    is_flag=True,
    help="Text-to-image models: when is each attribute of a picture decided? Draws from the texts of --members.",
)
@click.option("--judge", default=None, help="A judge by folder: says what a picture shows (for --windows).")
@click.option("--judge-labels", default=None, help="Labels for a zero-shot (CLIP) judge, separated by commas.")
@click.option("--reference", "references", multiple=True, help="A model that did not see the members; may be repeated.")
@click.option(
    "--backend",
    type=click.Choice(["transformers", "vllm"]),
    default="transformers",
    show_default=True,
    help="What runs the models: vllm is fast and gives log-probabilities only.",
)
@click.option("--base", default=None, help="The public model that MODEL was fine-tuned from.")
@click.option("--masked", default=None, help="A masked language model, to write neighbouring texts with.")
@click.option("--shadows", default=None, help="A folder of shadow models with shadows.json: who saw what.")
@click.option("--known-members", default=None, help="Further records known to be members, to learn from.")
@click.option("--known-nonmembers", default=None, help="Further records known not to be, to learn and calibrate from.")
@click.option("--prefixes", default=None, help="Unseen records to put in front of others.")
@click.option(
    "--signal",
    "--signals",
    "signals",
    multiple=True,
    help="A signal to run, or several with commas; may be repeated [default: all that are possible].",
)
@click.option("--decide-by", default="", help="The signal that gives the verdict per text [default: the plain loss].")
@click.option("--false-discovery-rate", default=0.05, show_default=True, type=Share(0, 1, True, True))
@click.option("--coin-flips", is_flag=True, help="Each member was put in by a fair coin: bound the privacy loss.")
@click.option(
    "--explain-cost", is_flag=True, help="Print the passes planned before they run, and those computed after."
)
@click.option("--fail-on-leak", is_flag=True, help="Exit with 1 when the audit finds a leak.")
@settings_option
@data_options
@model_options
@run_options
def audit(model: str, members: str | None, nonmembers: str | None, signals: tuple[str, ...], **options: Any) -> int:
    """Tell whether MODEL (a folder or hub id) was trained on given records.

    Every signal is scored against records the model did not see, with intervals, Holm's correction over signals, and
    a blind baseline that never sees the model: if that separates the two sides, nothing can be concluded.
    """
    from rasura._audit import audit as run
    from rasura.core.errors import BadInput
    from rasura.core.registry import name_of

    from ._options import with_settings

    out = prepare_out(options["out"], _record_name(options))
    if options["key"] or options["transcript"]:
        _check_alone(options, members or nonmembers or signals)
        from ._owner import ask

        return ask(model, out, options)
    if members is None:
        raise BadInput("audit needs records: pass --members FILE (or --mark mark.json, or --transcript order.jsonl)")
    if options["windows"]:
        return _windows(model, members, out, options)
    if nonmembers is None:
        raise BadInput("audit needs records that were not trained on: pass --nonmembers FILE")
    chosen = with_settings("signals", _named(signals), options["settings"])
    if options["decide_by"] and chosen is not None and options["decide_by"] not in map(name_of, chosen):
        raise BadInput(f"--decide-by {options['decide_by']}: that signal does not run; name it with --signal too")
    sides = [load_samples(path, options) for path in (members, nonmembers)]  # before the models: a typo costs nothing
    told = _told(options)
    arguments = {
        "reference": load_model(options["references"][0], options) if options["references"] else None,
        "signals": chosen,
        "options": told,
        "engine": engine_for(options["store"], options["engine"]),
        "seed": options["seed"],
    }
    target = load_model(model, options)
    if options["explain_cost"]:
        from rasura._audit import plan

        say(cost_text(plan(target, *sides, **arguments)))
    record = run(target, *sides, **arguments)
    if options["explain_cost"]:
        from rasura._costs import computed

        say(cost_text(record.costs, computed(record.costs, arguments["engine"].passes)))
    return finish(record, out, "audit", options, text)


def _record_name(options: dict[str, Any]) -> str:
    """The record's file, by the question asked."""
    return "ownership" if options["key"] or options["transcript"] else "windows" if options["windows"] else "audit"


def _check_alone(options: dict[str, Any], asked: Any) -> None:
    """Raises BadInput where options of another question would be read by nobody."""
    from rasura.core.errors import BadInput

    others = ("windows", "known_members", "known_nonmembers", "prefixes", "shadows", "decide_by", "coin_flips")
    if asked or any(options[name] for name in others):
        option = "--mark" if options["key"] else "--transcript"
        raise BadInput(
            f"{option} is a question of its own: it takes no --members, --nonmembers, --signal or what goes with them"
        )


def _named(signals: tuple[str, ...]) -> list[str] | None:
    """Names as given, with commas or one by one; "all" means whatever is possible."""
    names = [name.strip() for group in signals for name in group.split(",") if name.strip()]
    return None if not names or "all" in names else names


def _told(options: dict[str, Any]) -> Any:
    """What the audit is told besides the two sides: further models by role and further records."""
    from rasura._audit import Options
    from rasura.core.types import Samples

    sides = [
        load_samples(options[key], options) or Samples() for key in ("known_members", "known_nonmembers", "prefixes")
    ]
    paths = {f"reference_{i}": path for i, path in enumerate(options["references"][1:], 2)}
    paths |= {role: options[role] for role in ("base", "masked") if options[role] is not None}
    models, shadows = {role: load_model(path, options) for role, path in paths.items()}, {}
    if options["shadows"] is not None:
        from rasura.testbeds._shadows import load_shadows

        found = load_shadows(options["shadows"])
        models, shadows = models | dict(found.models), found.ids
    return Options(
        models=models,
        known=(sides[0], sides[1]),
        prefixes=sides[2],
        shadows=shadows,
        decide_by=options["decide_by"],
        false_discovery_rate=options["false_discovery_rate"],
        coin_flips=options["coin_flips"],
        truncate=options["truncate"],
    )


def cost_text(costs: Any, computed: list[int] | None = None) -> str:
    """The bill as a table, before it runs or with what was computed: what is asked of which model, for whom."""
    from rasura._costs import total

    from ._table import table

    forward, backward = total(costs, computed)
    rows = [
        (
            " on ".join(part for part in (c.what, c.view) if part),
            c.of,
            str(c.forward),
            str(c.backward),
            f"{c.samples:,}",
            *([] if computed is None else [f"{computed[i]:,}"]),
            ", ".join(c.signals),
        )
        for i, c in enumerate(costs)
    ]
    titles = ("what", "of", "forward", "backward", "records", *(() if computed is None else ("computed",)), "for")
    head = "planned" if computed is None else "computed"
    return f"{forward:,} forward and {backward:,} backward passes {head}\n\n{table(titles, rows)}\n"


def _windows(model: str, prompts: str, out: Any, options: dict[str, Any]) -> int:
    from rasura._windows import windows

    samples = load_samples(prompts, options)
    judge = load_judge(options["judge"], options["judge_labels"])
    record = windows(
        load_model(model, options),
        samples,
        judge,
        engine=engine_for(options["store"], options["engine"]),
        seed=options["seed"],
    )
    return finish(record, out, "windows", options, windows_text)


def windows_text(record: Any) -> str:
    """The windows as a person reads them at the terminal."""
    from ._table import table

    rows = [(r.attribute, r.half, f"{r.starts:.0f}", f"{r.ends:.0f}", f"{r.chance:.2f}") for r in record.rows]
    kept = [(r.attribute, *(f"{e.value:.2f}" for e in r.kept)) for r in record.rows]
    return "\n".join(
        [
            record.verdict,
            "",
            table(("attribute", "half decided at t", "all decided below", "nothing above", "chance"), rows),
            "",
            table(("kept at t =", *map(str, record.times)), kept),
            "",
            table(record.theory[0], record.theory[1:]),
        ]
    )


def text(record: Any) -> str:
    """The audit as a person reads it at the terminal."""
    from ._table import table

    rows = [
        (
            r.method.name,
            r.auc,
            r.tpr["0.01"],
            f"{r.p_holm:.2g}",
            r.over_loss or "",
            f"{r.forward}+{r.backward}",
            str(r.unscorable),
            r.method.status,
        )
        for r in sorted(record.signals, key=lambda r: -r.auc.value if r.auc.known else 1.0)
    ]
    rows.append(("(blind baseline)", record.blind.auc, "", "", "", "0+0", "", "never sees the model"))
    lines = [
        record.verdict,
        "",
        table(
            ("signal", "AUC [95 %]", "TPR at 1 % FPR", "p (Holm)", "AUC - loss", "passes", "unscorable", "status"), rows
        ),
    ]
    lines += _per_text(record)
    lines += [f"skipped {s.name}: {s.why}" for s in record.skipped]
    lines += [f"warning: {w}" for w in record.warnings]
    return "\n".join(lines)


def _per_text(record: Any) -> list[str]:
    """Verdicts per text in a line or two, one p value for all members, and the bound on epsilon."""
    lines = []
    found = record.decisions
    if found is not None:
        wrong = "" if found.false_discoveries is None else f"; share of these never seen: {found.false_discoveries}"
        lines.append(
            f"verdict per text by {found.signal} at a false-discovery rate of {found.rate}: members flagged {found.flagged}{wrong}"
        )
        if found.fewest > found.tested:
            lines.append(f"  {found.calibration} calibration texts are too few for any verdict on {found.tested} texts")
    lines += [
        f"{r.method.name}: one p value for all members {r.collection_p:.2g}"
        for r in record.signals
        if r.collection_p == r.collection_p
    ]
    bounds = [(r.epsilon.value, r.method.name) for r in record.signals if r.epsilon is not None and r.epsilon.known]
    if bounds:
        best, name = max(bounds)
        lines.append(f"privacy loss epsilon is at least {best:.2f} (95 %, {name}, all signals counted)")
    return lines
