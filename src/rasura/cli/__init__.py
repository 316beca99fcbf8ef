"""The command line: one file a command, loaded when it is called."""

from __future__ import annotations

import importlib
import os

import click

COMMANDS = ("audit", "extract", "erase", "verify", "report", "mark", "methods", "testbed", "claims", "demo")
SUMMARIES = {
    "audit": "Tell whether a model was trained on given records.",
    "extract": "Pull records out of a model, word for word or nearly.",
    "erase": "Make a model forget records; write the new model and a record.",
    "verify": "Compare before, after and retrained; attack the erased model.",
    "report": "Turn records into one self-contained page.",
    "mark": "Mark your texts before you publish them; ask models later.",
    "methods": "List every method with its computed status.",
    "testbed": "Build small models with planted truth.",
    "claims": "Check the claims of papers here, and print the table.",
    "demo": "The whole loop on a testbed, ending in a report.",
}


class Lazy(click.Group):
    """Commands by name; a command's file is imported only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"rasura.cli.{name}")
        return getattr(module, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])

    def resolve_command(self, ctx: click.Context, args: list[str]):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command is called '{args[0]}'; {hint}") from None


def _version() -> str:
    from rasura import __version__

    return __version__


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="rasura")
def group() -> None:
    """Find what a generative model memorised, erase it, and prove whether it is gone.

    \b
        audit -> extract -> erase -> verify -> report

    Exit codes: 0 clean, 1 a finding above the threshold you set (--fail-on-leak), 2 misuse or bad input.
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point: every error the package raises on purpose is one line and exit code 2."""
    from ._output import SEVERAL, leave, part, run

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    code = run(group, argv)
    code = part() or code
    if code and SEVERAL:
        leave(code)
    raise SystemExit(code)
