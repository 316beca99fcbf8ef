"""Readers, the record parser and the page under fuzzing: a few seconds here, any length of time with ``run.py``.

What longer runs found stands here as examples.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import _fuzz_properties as must
import _fuzz_strategies as make
from rasura.core.records import to_json

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example)
few = settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
fewer = settings(max_examples=5, deadline=None, suppress_health_check=SLOW)
GOOD = {name: build() for name, build in (make.FILES | make.PICTURES).items()}
ORDER = b'{"text": "first", "position": 0, "block": "a"}\n{"text": "second", "step": 1, "block": "b"}\n'
KEY = {"rasura_mark": 1, "method": "ghost_sentence", "settings": {"fresh": 9}, "texts": 1, "marked": 1}
CONFIG = (
    b'{"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "num_hidden_layers": 2, "auto": {"n": 1}}'
)
VERDICT = {"record": "Verdict", "schema": 1, "claim": "c", "outcome": "holds", "ours": "1", "theirs": "1", "why": "w",
           "threshold": "0", "table": [["a", "b"], ["1", "2"]]}  # fmt: skip


def a_key() -> bytes:
    from rasura.core.registry import make as method
    from rasura.core.types import Samples

    marked = method("provenance", "ghost_sentence", {"fresh": 9}).embed(Samples.of(["some words here"]), seed=1)
    return json.dumps(KEY | {"key": dict(marked.key)}).encode()


def record_bytes() -> st.SearchStrategy[bytes]:
    return make.broken(json.dumps(VERDICT).encode())


def changed_records() -> st.SearchStrategy[str]:
    return make.records().map(to_json).flatmap(make.changed)


def changed_runs() -> st.SearchStrategy[str]:
    return st.sampled_from(make.runs()).flatmap(make.changed)


@pytest.mark.parametrize("name", make.FILES)
@few
@given(st.data())
def test_readers(name: str, data):
    must.reads_samples(name, data.draw(make.broken(GOOD[name])))


def test_what_is_broken_was_good(tmp_path):
    """Else a reader that refuses everything would pass."""
    from rasura.core.records import from_json
    from rasura.data.pictures import read_picture
    from rasura.data.readers import read_samples

    for name, data in GOOD.items():
        (tmp_path / name).write_bytes(data)
        if name in make.PICTURES:
            assert (read_picture(tmp_path / name).width, read_picture(tmp_path / name).height) == (9, 7)
        else:
            assert len(read_samples(tmp_path / name)) in (1, 2, 3)
    assert from_json(json.dumps(VERDICT)).claim == "c"


def test_a_column_whose_name_is_no_text():
    must.reads_samples("a.parquet", GOOD["a.parquet"].replace(b"blob", b"\xf2lob"))


@pytest.mark.parametrize("name", make.PICTURES)
@few
@given(st.data())
def test_pictures(name: str, data):
    must.reads_picture(name, data.draw(make.broken(GOOD[name])))


@few
@given(make.broken(ORDER))
@example(b'{"text": "x", "position": 1' + b"0" * 400 + b"}")
@example(b'{"text": "\\ud800", "position": 1}')
def test_training_orders(data: bytes):
    must.reads_transcript(data)


@few
@given(make.broken(a_key()))
@example(b"[" * 100_000)
@example(json.dumps(KEY | {"method": [], "key": {}}).encode())
@example(json.dumps(KEY | {"method": "7" * 5000, "key": {}}).encode())
@example(json.dumps(KEY | {"key": {"list": "x", "phrases": [7], "fresh_seed": "x"}}).encode())
def test_keys(data: bytes):
    must.reads_key(data)


@few
@given(make.broken(CONFIG))
@example(b'{"a": ' + b"[" * 100_000)
@example(b"[]")
def test_configurations(data: bytes):
    must.reads_configuration(data)


@few
@given(record_bytes())
@example(b'{"record": [], "schema": 1}')
@example(b'{"record": "Verdict", "x": ' + b"[" * 100_000)
@example(json.dumps(VERDICT | {"claim": "\ud800"}).encode())
@example(b'{"record": "Verdict", "schema": 1, "schema": 1}')
@example(json.dumps(VERDICT | {"schema": "\x1b[2J\ud800"}).encode())
@example(json.dumps({"record": "Windows", "schema": 1, "populations": [{"reasons": {"\x1f": "x"}}]}).encode())
def test_records(data: bytes):
    must.reads_record(data)


@fewer
@given(make.records())
def test_a_record_survives_its_file(record):
    must.survives(record)


@fewer
@given(make.records(), st.booleans())
def test_the_page_of_any_record_is_inert(record, reveal: bool):
    must.is_inert(record, reveal)


@fewer
@given(changed_records())
def test_changed_records(text: str):
    must.reads_record(text.encode())


@fewer
@given(changed_runs())
def test_the_page_of_a_changed_run_is_inert(text: str):
    must.page_of_text(text)
