"""``rasura extract``: lengths, family, base and known records from the command line."""

from __future__ import annotations

import json

import click
import pytest

from conformance._marked import marked
from rasura.cli.extract import _lengths, _told, text
from rasura.core import registry
from rasura.core.errors import BadInput


def run(*arguments: str) -> tuple[int, str]:
    from click.testing import CliRunner

    from rasura.cli.extract import extract

    result = CliRunner().invoke(extract, list(arguments), catch_exceptions=False, standalone_mode=False)
    return int(result.return_value or 0), result.output


@pytest.fixture(scope="module")
def place(planted, tmp_path_factory):
    """Two models and the records as files."""
    folder = tmp_path_factory.mktemp("extract")
    planted.models["target"].save(str(folder / "tuned"))
    planted.models["reference"].save(str(folder / "public"))
    for name, samples in (("records", planted.forget), ("known", planted.members.take(range(8, 16)))):
        lines = [json.dumps({"id": s.id, "text": s.text}) for s in marked(samples)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


def test_all_curves_come_from_one_command(place):
    code, out = run(
        str(place / "tuned"),
        *(
            "--models",
            str(place / "public"),
            "--base",
            str(place / "public"),
            "--records",
            str(place / "records.jsonl"),
        ),
        *("--method", "discoverable", "--method", "fine_tuning", "--context-lengths", "16,8"),
        *(
            "--set",
            "fine_tuning.draws=2",
            "--set",
            "fine_tuning.suffix_tokens=3",
            "--set",
            "discoverable.suffix_tokens=3",
        ),
        *("--store", str(place / "store")),
    )
    assert code == 0, out
    assert "discoverable: word for word" in out and "tokens of context" in out and "8: " in out and "16: " in out
    assert "fine_tuning: recall at 100 errors, loss ratio" in out and "parameters" in out


def test_known_records_go_to_the_methods_that_learn(planted):
    known = marked(planted.members.take(range(8, 16)))
    told = _told(None, (), known)
    assert len(told) == len(registry.names("extraction")) and any(getattr(m, "known", "") for m in told)
    assert known[0].text not in repr(told)


def test_an_option_that_no_method_takes_is_an_error(planted):
    verbatim = registry.get("extraction", registry.names("extraction")[-1])()
    for lengths, known in (((8,), None), ((), planted.members)):
        with pytest.raises(BadInput, match="none of the methods chosen"):
            _told([verbatim], lengths, known)


@pytest.mark.parametrize("given", ["", "8;16", "8,,16", "a"])
def test_lengths_are_whole_numbers(given):
    with pytest.raises(BadInput, match="context-lengths"):
        _lengths(given)
    assert _lengths("16, 8,8") == (8, 16) and _lengths(None) == ()


def test_the_command_has_its_options():
    from rasura.cli.extract import extract

    assert isinstance(extract, click.Command) and callable(text)
    assert {"context_lengths", "models", "base", "known_members"} <= {p.name for p in extract.params}
