"""Documents that check themselves: every command documented exists, runs, and every command is documented."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rasura.cli import COMMANDS, group

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def documented() -> list[tuple[str, str]]:
    """(page, line) of every `rasura ...` line in a code block."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```[a-z]*\n(.*?)```|((?:^    .+\n)+)", page.read_text(), flags=re.S | re.M):
            for line in re.sub(r"\\\n\s*", "", block[0] or block[1]).splitlines():
                if line.strip().startswith("rasura "):
                    found.append((page.name, line.strip()))
    return found


@pytest.mark.parametrize(("page", "line"), documented(), ids=lambda v: v)
def test_documented_commands_parse(page: str, line: str):
    """The command and each of its options exist."""
    words = shlex.split(line.split("#")[0].replace("[", "").replace("]", "").split("|")[0])[1:]
    command, path = group, []
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        nested = command.get_command(None, words[0])
        assert nested is not None, f"{page}: no command {' '.join([*path, words[0]])}"
        command, path, words = nested, [*path, words[0]], words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
        "--version",
    }
    assert {w for w in words if w.startswith("--")} <= options, f"{page}: {line}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_and_is_documented(name: str):
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    nested = group.get_command(None, name)
    text = result.output
    if hasattr(nested, "commands"):
        text += "".join(CliRunner().invoke(group, [name, sub, "--help"]).output for sub in nested.commands)
    assert "Example" in text and f"rasura {name}" in text
    assert any(line.startswith(f"rasura {name}") for _, line in documented()), (
        f"README and docs never show rasura {name}"
    )


def test_pages_linked_from_the_readme_exist():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link


def test_the_map_in_the_readme_names_every_folder():
    text = (ROOT / "README.md").read_text()
    for folder in sorted(p for p in (ROOT / "src" / "rasura").iterdir() if p.is_dir() and not p.name.startswith("_")):
        assert f"{folder.name}/" in text, f"the map of the house lacks {folder.name}/"


def test_the_loop_of_the_readme_runs_as_written(planted, tmp_path, monkeypatch, capsys):
    """Its commands, word for word but for the prompt length: the small records are shorter than 50 tokens."""
    from rasura.cli import main
    from rasura.core.types import Samples
    from rasura.data.writers import write_samples

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASURA_CACHE", str(tmp_path / "cache"))
    for name, role in (("MODEL", "target"), ("BASE", "reference"), ("RETRAINED", "retrained"), ("OTHER", "reference")):
        planted.models[role].save(name)
    files = {"train": "members", "heldout": "nonmembers", "forget": "forget", "retain": "retain"}
    for name, part in files.items():
        write_samples(Samples(getattr(planted, part)[:24]), Path(f"{name}.jsonl"))
    _an_owners_files(planted)
    shown = [line for page, line in documented() if page == "README.md"]
    one_machine = [line for line in shown if "--engine" not in line]
    loop = [line for line in one_machine if "MODEL" in line or line.startswith("rasura mark")] + [
        "rasura report runs/a"
    ]
    steps = ["audit", "extract", "erase", "verify", "mark", "audit", "audit", "report"]
    assert [shlex.split(line)[1] for line in loop] == steps
    for line in loop:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line.replace("--prefix-tokens 50", "--prefix-tokens 12"))[1:])
        assert ended.value.code == 0, capsys.readouterr().err
    assert {p.name for p in Path("runs/a").iterdir()} == {
        "audit.json",
        "extraction.json",
        "verification.json",
        "report.html",
    }
    assert (tmp_path / "erased" / "model.safetensors").is_file() and (tmp_path / "erased" / "erasure.json").is_file()


def _an_owners_files(planted) -> None:
    """A folder of essays, and the order of a training."""
    Path("essays").mkdir()
    for i, text in enumerate(planted.heldout.texts[:6]):
        Path(f"essays/{i}.txt").write_text(text)
    texts = planted.heldout.texts
    longer = [" ".join(texts[(i + k) % len(texts)] for k in range(6)) for i in range(30)]
    lines = [json.dumps({"text": text, "position": i}) for i, text in enumerate(longer)]
    Path("order.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_the_signal_in_the_readme_is_one_new_file_and_passes_conformance(planted, tmp_path):
    """In a copy of the tree: the file alone makes it a method, an option of the command line, and a case of the suite."""
    code = re.search(
        r"`src/rasura/signals/log_rank\.py`:\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    assert code is not None
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "rasura" / "signals" / "log_rank.py").write_text(code.group(1))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    assert "log_rank" in run("rasura", "methods", "--family", "signals")
    suite = (
        "tests/conformance/test_signals.py",
        "tests/test_imports.py",
        "tests/test_house.py",
        "src/rasura/signals/log_rank.py",
    )
    told = run(
        "pytest",
        *suite,
        "-k",
        "log_rank",
        "-o",
        "addopts=--doctest-modules --import-mode=importlib -p no:cacheprovider",
    )
    assert int(re.search(r"(\d+) passed", told).group(1)) >= 10
