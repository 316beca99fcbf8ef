"""An owner's questions to ``rasura audit``: has it read my marked texts, does it descend from my training?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._common import engine_for, finish, load_model


def ask(model: str, out: Path | None, options: dict[str, Any]) -> int:
    """``--mark`` or ``--transcript``: run the test, print and write its record, and return the exit code."""
    from rasura._mark import audit_mark, audit_transcript, key_of, reading
    from rasura.core.errors import BadInput
    from rasura.data.transcripts import read_transcript

    from ._options import with_settings

    key, transcript = options["key"], options["transcript"]
    if key and transcript:
        raise BadInput("--mark and --transcript are two questions: ask them one after the other")
    if key and options["settings"]:
        raise BadInput("--set: the settings of a mark were fixed when it was made and stand in its key")
    (key_of if key else read_transcript)(key or transcript)  # before the models: a typo costs nothing
    more: dict[str, Any] = {"engine": engine_for(options["store"], options["engine"])}
    if transcript:
        (more["method"],) = with_settings("provenance", reading("transcript")[:1], options["settings"]) or ()
    target = load_model(model, options)
    reference = next(iter(options["references"]), None)
    more["models"] = {} if reference is None else {"reference": load_model(reference, options)}
    record = audit_mark(target, key, **more) if key else audit_transcript(target, transcript, **more)
    return finish(record, out, "ownership", options, text)


def text(record: Any) -> str:
    """The record as a person reads it at the terminal."""
    from ._table import table

    rows = [(t.name, t.statistic, t.statistic.unit, f"{t.p_value:.2g}", str(t.n), t.note) for t in record.tests]
    lines = [record.verdict, "", table(("test", "statistic [95 %]", "unit", "p", "n", ""), rows)]
    return "\n".join([*lines, *(f"warning: {w}" for w in record.warnings)])
