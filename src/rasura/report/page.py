"""Records to one self-contained HTML page: no scripts, nothing loaded, everything foreign escaped."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasura.core.errors import BadInput
from rasura.core.records import (
    RECORDS,
    Audit,
    Erasure,
    Extraction,
    Verdict,
    Verification,
    Windows,
    loaded,
    read,
    read_text,
    write_whole,
)
from rasura.report import _answers, _curves, _format, _key_figures, _pictures, _plots, _svg, _view, _windows

if TYPE_CHECKING:
    from jinja2 import Environment


def render(
    records: Sequence[Audit | Extraction | Erasure | Verification | Verdict | Windows],
    *,
    reveal: bool = False,
    title: str = "",
) -> str:
    """The page as HTML text; the same records give the same bytes.

    ``reveal`` shows extracted text and pictures where the record holds them, and marks the page as revealing.
    ``title`` replaces the heading. The order of the records does not matter between kinds, and is kept within one. BadInput if there is no
    record, or something else among them.
    """
    from markupsafe import Markup

    if not records:
        raise BadInput("a report needs at least one record")
    for record in records:
        if type(record) not in RECORDS.values():
            raise BadInput(f"a report is made of records ({', '.join(RECORDS)}), not of {type(record).__name__}")
    environment = _environment()
    view = _view.view(records, reveal, title)
    sheets = ("style.css", "pictures.css") if view.pictures else ("style.css",)
    style = "\n".join(environment.loader.get_source(environment, sheet)[0] for sheet in sheets)
    page = environment.get_template("page.html.j2")
    return page.render(view=view, style=Markup(style)) + "\n"


def write_report(
    folder_or_files: Path | str | Iterable[Path | str], out: Path | None = None, reveal: bool = False
) -> Path:
    """Render the records of a run folder, or the record files given, into ``out`` and return its path.

    ``out`` defaults to ``report.html`` beside the records. The file is replaced as a whole, and only its owner may
    read it. BadInput if there is no record, if one does not fit, or if ``out`` cannot be written.
    """
    files = _files(folder_or_files)
    out = Path(out) if out is not None else files[0].parent / "report.html"
    if any(out.resolve() == file.resolve() for file in files):
        raise BadInput(f"{out}: a record the page is made from; choose another place for the report")
    text = render([read(file) for file in files], reveal=reveal)
    try:
        write_whole(out, text.encode("utf-8"))
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror}); choose another place for the report") from None
    return out


def records_in(folder_or_files: Path | str | Iterable[Path | str]) -> list[Any]:
    """The records of a run folder, in the order of the files' names, or those of the files given.

    JSON that is not a record (a model's configuration, say) is passed over in a folder, but is an error when named.
    BadInput if there is no record or if one does not fit.
    """
    return [read(file) for file in _files(folder_or_files)]


def _files(folder_or_files: Path | str | Iterable[Path | str]) -> list[Path]:
    if not isinstance(folder_or_files, (str, os.PathLike)):
        files = [Path(file) for file in folder_or_files]
        if not files:
            raise BadInput("no record file was given: name the JSON records or the folder of a run")
        return files
    place = Path(folder_or_files)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise BadInput(f"{place}: no such file or folder; expected the folder of a run or its JSON records")
    files = [file for file in sorted(place.glob("*.json")) if file.is_file() and _may_be_record(file)]
    if not files:
        raise BadInput(f"{place}: holds no records (*.json written by audit, extract, erase or verify)")
    return files


def _may_be_record(file: Path) -> bool:
    """False only for JSON that is clearly something else; what is damaged goes on to ``read`` and its message."""
    try:
        body = loaded(read_text(file), str(file))
    except BadInput:
        return True
    return isinstance(body, dict) and "record" in body


@functools.cache
def _environment() -> Environment:
    """Templates with everything escaped, and every string made visible, before it reaches the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return _format.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    def plot(svg: str) -> Markup:
        return Markup(svg)  # made by _svg.for_page, which serialises with escapes

    environment = Environment(
        loader=PackageLoader("rasura.report", "templates"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["shows_records"] = _answers.shows_records
    environment.filters.update(plot=plot, **{name: getattr(_format, name) for name in FILTERS})
    environment.globals.update(plots=_plots, views=_view, answers=_answers, comparison=_comparison)
    environment.globals.update(pictures=_pictures, windows=_windows, curves=_curves)
    return environment


ARROWS = {"lower": "\u2190", "higher": "\u2192"}  # along the axis, to the better side
FILTERS = ("shorten", "thousands", "number", "value_text", "interval_text", "level_text", "p_text", "settings", "clip")


def _comparison(rows: Sequence[Any], kind: str) -> str:
    """The before/after/retrained plot of metric rows (``kind`` "metrics") or attack rows ("attacks")."""
    styles = {role: _svg.ROLE_STYLE.get(role, (_svg.OTHER, "^")) for role in _view.roles_of(rows)}
    drawn = []
    for row in rows:
        if kind == "metrics":
            below = f"{_format.clip(row.population, 24)} {'goal ' + format(row.goal, 'g') if row.goal is not None else ARROWS.get(row.better, '')}"
        else:
            below = row.access
        drawn.append((row.method.name, below, _view.unit_of(row), dict(_key_figures.by_role(row.values))))
    return _plots.comparison(drawn, styles)
