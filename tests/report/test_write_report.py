"""A run folder to a file: whole or not at all, for its owner only."""

from __future__ import annotations

import json
import os
import stat

import pytest

from rasura.core.errors import BadInput
from rasura.core.records import write
from rasura.report import records_in, render, write_report


@pytest.fixture
def run(made, tmp_path):
    for name in ("audit", "extraction", "erasure", "verification"):
        write(getattr(made, name)(), tmp_path / f"{name}.json")
    return tmp_path


def test_a_run_folder(made, run):
    out = write_report(run)
    assert out == run / "report.html" and stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.read_text(encoding="utf-8") == render(
        [made.audit(), made.extraction(), made.erasure(), made.verification()]
    )


def test_named_files_and_another_place(made, run):
    out = write_report([run / "audit.json"], run / "one.html")
    assert out.read_text(encoding="utf-8") == render([made.audit()]) and out.name == "one.html"
    assert write_report(str(run / "audit.json")) == run / "report.html"


def test_reveal(run):
    record = run / "extraction.json"
    assert "Secret output" not in write_report(record).read_text(encoding="utf-8")
    assert "Secret output" in write_report(record, reveal=True).read_text(encoding="utf-8")


def test_other_json_is_passed_over_in_a_folder_only(made, run):
    (run / "config.json").write_text(json.dumps({"hidden_size": 128}))
    (run / "list.json").write_text("[]")
    assert len(records_in(run)) == 4
    with pytest.raises(BadInput, match="not a record"):
        records_in([run / "config.json"])


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ('{"record": "Audit", "schema": 99}', "schema 99"), ('{"record": "Poem", "schema": 1}', "not a record"), ('{"record": "Audit", "schema": 1}', "the fields")],
)  # fmt: skip
def test_damaged_records_are_named(run, content, message):
    (run / "zz.json").write_text(content)
    with pytest.raises(BadInput, match=message) as error:
        write_report(run)
    assert "zz.json" in str(error.value) and "\n" not in str(error.value)


def test_nothing_to_report(tmp_path):
    for place in (tmp_path, tmp_path / "missing", []):
        with pytest.raises(BadInput) as error:
            write_report(place)
        assert "\n" not in str(error.value)


def test_a_failed_write_leaves_the_old_page(run, monkeypatch):
    (run / "report.html").write_text("old")
    before = sorted(p.name for p in run.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write_report(run)
    assert (run / "report.html").read_text() == "old" and sorted(p.name for p in run.iterdir()) == before


def test_a_place_that_does_not_exist(run):
    with pytest.raises(BadInput, match="cannot be written"):
        write_report(run, run / "no" / "such" / "report.html")
