"""The owner's side: put a mark into texts before they are published, and ask a model whether it has read them.

The key that ``mark`` writes is the owner's secret. Whoever has it can find the mark, remove it, or claim it; it is
written for its owner alone to read, and nothing of it reaches a record or a log.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._cards import model_cards, notes, population, run_card, unproven, used
from ._inputs import as_model, check_modality
from .core import registry
from .core.errors import BadInput, RasuraError
from .core.protocols import Query
from .core.records import MarkAudit, MarkTest
from .data.readers import read_samples
from .data.rewrite import rewrite
from .data.transcripts import read_transcript
from .observations._engine import Engine

ALPHA = 0.01  # a finding accuses somebody: stricter than the level of an audit
KEY = "mark.json"
KEY_VERSION = 1
LARGEST_KEY = 100_000_000  # bytes


def mark(
    source: str | Path,
    out: str | Path,
    method: Any = "ghost_sentence",
    *,
    text_field: str = "text",
    seed: int | None = None,
) -> Path:
    """Marked copies of a folder of text files, or of a JSONL, CSV or text file, and the owner's key beside them.

    ``out`` is a folder (made if missing) that holds none of these files yet; the originals are only read. ``seed``:
    None draws a secret one. Returns the path of the key. Raises BadInput (nothing to mark, a file that is there
    already, ``out`` is where the originals are), UnknownMethod.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    chosen = registry.make("provenance", method)
    if not hasattr(chosen, "embed"):
        raise BadInput(f"{registry.name_of(chosen)} puts no mark into texts; these do: {', '.join(marks())}")
    samples = read_samples(source, text_field=text_field)
    if out.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise BadInput(f"{out}: the originals are there and are never changed; choose another folder")
    if (out / KEY).exists():
        raise BadInput(f"{out / KEY}: a key is there already, and a lost key is a lost mark; choose another folder")
    marked = chosen.embed(samples, seed=secrets.randbits(128) if seed is None else seed)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be made ({error.strerror}); choose another folder") from None
    changed = sum(a != b for a, b in zip(marked.texts, samples.texts, strict=True))
    about = {"method": registry.name_of(chosen), "settings": dict(used("provenance", chosen).settings)}
    body = {"rasura_mark": KEY_VERSION, **about, "texts": len(samples), "marked": changed, "key": dict(marked.key)}
    path = _write_secret(body, out / KEY)  # first: marked texts without a key would be worth nothing
    try:
        rewrite(source, marked.texts, out, text_field)
    except BaseException:
        path.unlink()
        raise
    return path


def marks() -> list[str]:
    """Names of the methods that put a mark into texts."""
    return [n for n in registry.names("provenance") if hasattr(registry.get("provenance", n), "embed")]


def reading(evidence: str) -> list[str]:
    """Names of the methods whose evidence is a "key", a "transcript" or "texts"."""
    return [n for n in registry.names("provenance") if registry.get("provenance", n).evidence == evidence]


def audit_mark(
    model: Any, key: str | Path, *, models: Mapping[str, Any] | None = None, engine: Engine | None = None
) -> MarkAudit:
    """Has the model read the texts that were marked with this key? ``models``: further ones by role (reference).

    Raises BadInput when the key cannot be read, or does not fit its method.
    """
    method, evidence = key_of(key)
    return _audited(method, evidence, model, models or {}, engine, "rasura audit --mark")


def audit_transcript(
    model: Any,
    transcript: str | Path,
    *,
    method: Any = None,
    models: Mapping[str, Any] | None = None,
    engine: Engine | None = None,
) -> MarkAudit:
    """Does the model descend from the training whose order ``transcript`` records? See data/transcripts.py.

    ``method``: name or instance; None takes the one there is. Raises BadInput for a transcript that cannot be used.
    """
    evidence = read_transcript(transcript)
    chosen = registry.make("provenance", reading("transcript")[0] if method is None else method)
    if chosen.evidence != "transcript":
        raise BadInput(f"{registry.name_of(chosen)} reads no transcript; these do: {', '.join(reading('transcript'))}")
    return _audited(chosen, evidence, model, models or {}, engine, "rasura audit --transcript")


def key_of(path: str | Path) -> tuple[Any, Mapping[str, Any]]:
    """The method of a key and what it needs to be tested. Raises BadInput when the two do not fit."""
    body = read_key(path)
    try:
        method = registry.make("provenance", body["method"], dict(body["settings"]))
        method.queries(body["key"], ("target",))
    except RasuraError as error:
        raise BadInput(f"{path}: {error}") from None
    except Exception as error:  # a key is anybody's file: what its method stumbles over is no fault of the program
        raise BadInput(f"{path}: damaged, or of another version of its method ({type(error).__name__})") from None
    return method, body["key"]


def read_key(path: str | Path) -> Mapping[str, Any]:
    """The owner's key. Raises BadInput; messages never quote it."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise BadInput(f"{path}: the key cannot be read (not a regular file)")
        if Path(path).stat().st_size > LARGEST_KEY:
            raise BadInput(f"{path}: not a key: larger than {LARGEST_KEY // 10**6} MB")
        body = json.loads(Path(path).read_text(encoding="utf-8"))
        json.dumps(body, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no text for a model
    except OSError as error:
        raise BadInput(f"{path}: the key cannot be read ({error.strerror})") from None
    except BadInput:
        raise
    except (ValueError, RecursionError):
        raise BadInput(f"{path}: not a key: damaged JSON") from None
    if not isinstance(body, dict) or body.get("rasura_mark") != KEY_VERSION or not isinstance(body.get("key"), dict):
        raise BadInput(f"{path}: not a key of this program; rasura mark writes one as {KEY}")
    return body


def _audited(
    method: Any, evidence: Any, model: Any, others: Mapping[str, Any], engine: Engine | None, command: str
) -> MarkAudit:
    engine = engine or Engine()
    roles = {"target": as_model(model), **{role: as_model(m) for role, m in others.items()}}
    for handle in roles.values():
        check_modality(method, handle.modality)
    queries = method.queries(evidence, tuple(roles))
    roles = {role: m for role, m in roles.items() if role in {q.ask.role for q in queries.values()}}
    queries, warnings = _fitting(queries, roles)
    observed = {name: engine.observe(q.ask, roles, q.samples) for name, q in queries.items()}
    tests = method.test(evidence, **observed)
    what = used("provenance", method)
    return MarkAudit(
        verdict=verdict(tests[0], method.finds),
        leaks=bool(tests[0].p_value < ALPHA),
        models=model_cards(roles),
        populations=tuple(
            population(name.replace("_", " "), q.samples, list(getattr(observed[name], "reason", ())))
            for name, q in queries.items()
        ),
        method=what,
        tests=tests,
        warnings=(*notes(roles), *warnings, *unproven([what])),
        run=run_card(command, 0),
    )


def _fitting(queries: Mapping[str, Query], roles: Mapping[str, Any]) -> tuple[dict[str, Query], list[str]]:
    """Queries whose texts fit the models' contexts; what had to be cut is said once."""
    fitted = {n: Query(q.ask, roles[q.ask.role].fit(q.samples, truncate=True)) for n, q in queries.items()}
    cut = max(
        (sum(a.text != b.text for a, b in zip(fitted[n].samples, q.samples, strict=True)) for n, q in queries.items()),
        default=0,
    )
    return fitted, [f"{cut} texts are longer than the model reads and were cut to their beginning"] if cut else []


def verdict(test: MarkTest, finds: str) -> str:
    """The sentence: what there is evidence of, and how often chance alone would show as much."""
    if np.isnan(test.p_value):
        return f"Nothing can be concluded: {test.note or test.statistic.note or 'the test had nothing to measure'}."
    if test.p_value < ALPHA:
        return (
            f"There is evidence that {finds} ({test.name}, p = {test.p_value:.2g}): chance alone shows as much with "
            f"probability {test.p_value:.2g}."
        )
    return (
        f"There is no evidence at the level {ALPHA:g} that {finds} ({test.name}, p = {test.p_value:.2g}); "
        "a weak memory would not have been seen."
    )


def _write_secret(body: Mapping[str, Any], path: Path) -> Path:
    """For its owner alone from the first byte on, and never over another file."""
    text = json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    return path
