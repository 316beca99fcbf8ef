"""``rasura methods``"""

from __future__ import annotations

import click

from ._output import emit, say


@click.command(
    epilog="\b\nExample:\n  rasura methods\n  rasura methods min_k\n  rasura methods --family signals --json"
)
@click.argument("name", required=False)
@click.option("--family", default=None, help="Only this family, for instance signals or erasers.objectives.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def methods(name: str | None, family: str | None, as_json: bool) -> None:
    """List every method with its computed status, or one method with its settings.

    \b
    implemented      every conformance test of its family passed
    matched          and a golden file agrees with its authors' numbers
    ..., reproduced  and a claim about it holds here, and none about it fails
    """

    from rasura.core import registry
    from rasura.core.errors import UnknownMethod
    from rasura.core.status import status

    from ._options import describe
    from ._table import table

    if family is not None:
        registry.names(family)
    chosen = [
        f for f in registry.FAMILIES if f == family or (family is None and f != "claims")
    ]  # claims have a command
    found = [(f, n) for f in chosen for n in registry.names(f) if name in (None, n)]
    if not found:
        raise UnknownMethod(family or "known", name or "", {n for f in chosen for n in registry.names(f)})
    rows = [
        {
            "family": f,
            "name": n,
            "status": status(f, n),
            "paper": registry.get(f, n).paper,
            "summary": registry.summary(registry.get(f, n)),
        }
        for f, n in found
    ]
    if as_json:
        detail = [
            row | {"settings": [list(map(str, line)) for line in describe(registry.get(row["family"], row["name"]))]}
            for row in rows
        ]
        emit(detail, True)
        return
    say(table(("family", "name", "status", "paper", "what it is"), [tuple(row.values()) for row in rows]))
    if name is not None:
        for f, n in found:
            say(
                f"\nsettings of {n} (--set {n}.FIELD=VALUE):\n"
                + table(("field", "type", "default", "what it does"), describe(registry.get(f, n)))
            )
            say(f"\n{registry.get(f, n).__doc__}")
