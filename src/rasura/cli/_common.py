"""Options that several commands share, and what they build."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..observations._engine_crews import ENGINES, crew
from ._output import emit, say

LARGEST_COUNT = 2**31 - 1
COUNT = click.IntRange(1, LARGEST_COUNT)
SEED = click.IntRange(0, 2**32 - 1)  # what numpy, scikit-learn and torch all take


class Share(click.FloatRange):
    """A number in a range. Of "nan" click only asks whether it lies outside, and it never does."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def data_options(command: Callable) -> Callable:
    """Which field of a data file is what."""
    for option in reversed(
        (
            click.option("--text-field", default="text", show_default=True, help="Field that holds the text."),
            click.option(
                "--prompt-field", default=None, help="Field read as context in front of the text, never scored."
            ),
            click.option("--id-field", default="id", show_default=True, help="Field that names a record."),
            click.option(
                "--repeats-field", default=None, help="Field with known copies in training, for dose-response."
            ),
            click.option(
                "--picture-field", default=None, help="Field with the path of the picture that the text captions."
            ),
            click.option(
                "--shows-field", default=None, help="Field with what a judge should see in a picture of the text."
            ),
            click.option("--limit", type=COUNT, default=None, help="Read only the first N records of each file."),
        )
    ):
        command = option(command)
    return command


def model_options(command: Callable) -> Callable:
    """How to load models."""
    for option in reversed(
        (
            click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ..."),
            click.option("--dtype", default="auto", show_default=True, help="float32, bfloat16, float16."),
            click.option("--allow-pickle", is_flag=True, help="Load pickled weights: they can run code."),
            click.option("--trust-remote-code", is_flag=True, help="Run code that comes with a model."),
            click.option(
                "--truncate", is_flag=True, help="Cut records to the model's context instead of refusing them."
            ),
        )
    ):
        command = option(command)
    return command


def run_options(command: Callable) -> Callable:
    """Where finished work goes, and what is printed."""
    for option in reversed(
        (
            click.option(
                "--out", type=click.Path(path_type=Path), default=None, help="Folder for the record (made if missing)."
            ),
            click.option("--store", default=None, help="Folder or URL of finished passes [default: the user's cache]."),
            engine_option,
            click.option("--seed", type=SEED, default=0, show_default=True),
            click.option("--json", "as_json", is_flag=True, help="Print the record as JSON."),
        )
    ):
        command = option(command)
    return command


def _chosen(_context: click.Context, _option: click.Parameter, name: str | None) -> Any:
    """The crew of the engine asked for. Of several processes all but the first fall silent."""
    from rasura.observations._engine_processes import first

    chosen = crew(name)
    if not first():
        sys.stdout = open(os.devnull, "w")
    return chosen


engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=None,
    is_eager=True,
    callback=_chosen,
    help="Who computes: this process, those of accelerate launch, a Ray cluster [default: as it was launched].",
)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="METHOD.FIELD=VALUE",
    help="A method's setting, for instance min_k.k=0.3 (see: rasura methods NAME).",
)


def load_model(path: str, options: dict[str, Any]) -> Any:
    """A handle, with the shared loading options."""
    from rasura.models.loading import load

    keys = ("dtype", "allow_pickle", "trust_remote_code")
    given = {key: options[key] for key in keys} | {"device": own_device(options["device"])}
    return load(path, backend=options.get("backend", "transformers"), **given)


def own_device(device: str) -> str:
    """Of several processes on one machine, each takes a card of its own."""
    from rasura.observations._engine_processes import Processes

    if device != "auto" or Processes.current is None or Processes.current.alone:
        return device
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def load_judge(path: str | None, labels: str | None = None) -> Any:
    """The judge of pictures by folder; ``labels`` (separated by commas) make a CLIP model a zero-shot judge."""
    if path is None:
        return None
    from rasura.models.judges import Judge

    names = [name.strip() for name in labels.split(",") if name.strip()] if labels else None
    return Judge.zero_shot(path, names) if names else Judge.load(path)


def load_samples(path: str | None, options: dict[str, Any]) -> Any:
    """Samples of a file, with the shared field options; None stays None."""
    from rasura.data.readers import read_samples

    keys = ("text_field", "prompt_field", "id_field", "repeats_field", "picture_field", "shows_field", "limit")
    return None if path is None else read_samples(path, **{key: options[key] for key in keys})


def engine_for(store: str | None, crew: Any = None) -> Any:
    """The pass engine, with finished work in ``store`` or the user's cache and progress on the terminal.

    ``crew``: what ``--engine`` chose; None is this process alone.
    """
    from rasura.core.errors import BadInput, RasuraError
    from rasura.core.store import Store
    from rasura.observations._engine import Engine, quiet
    from rasura.observations._engine_processes import first
    from rasura.testbeds._folder import default_cache

    from ._progress import progress

    try:
        place = Store(store or default_cache() / "store")
    except (ValueError, ImportError) as error:  # fsspec knows no such kind of URL, or lacks what it needs for it
        if isinstance(error, RasuraError):
            raise
        raise BadInput(f"--store {store}: cannot be used ({error}); name a folder, or a URL fsspec knows") from None
    return Engine(place, progress if first() else quiet, crew=crew)


def prepare_out(out: Path | None, name: str = "") -> Path | None:
    """The output folder, made and proven writable before any work is done.

    ``name``: the record that will lie there; what is there under its name and is no record is somebody's, and is kept.
    """
    if out is None:
        return None
    from rasura.core.errors import BadInput

    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(out, os.W_OK):
            raise PermissionError(13, "permission denied")
        probe = out / f".rasura-probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"{out}: cannot write there ({error.strerror or type(error).__name__}); choose another --out"
        ) from None
    if name:
        _check_free(out / f"{name}.json")
    return out


def _check_free(path: Path) -> None:
    from rasura.core.errors import BadInput
    from rasura.core.records import read

    if path.is_symlink() or path.exists():
        try:
            read(path)
        except BadInput:
            raise BadInput(
                f"{path}: is there already and is no record of this version, so nothing is written over it; choose another --out"
            ) from None


def finish(record: Any, out: Path | None, name: str, options: dict[str, Any], text: Callable[[Any], str]) -> int:
    """Write and print a record; the exit code is 1 when it leaks and --fail-on-leak was given."""
    from rasura.core.records import write
    from rasura.observations._engine_processes import first

    path = write(record, out / f"{name}.json") if out is not None and first() else None
    if options["as_json"]:
        emit(record, True)
    else:
        say(text(record))
    if path is not None and not options["as_json"]:
        say(f"\nrecord: {path}\npage:   rasura report {out}")
    return 1 if options.get("fail_on_leak") and getattr(record, "leaks", False) else 0
