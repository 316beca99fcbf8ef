"""Fixtures: tiny models, planted truth, trained once a session."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # models this small lose more by waiting for a second thread than they gain
sys.path.insert(0, str(Path(__file__).parent))

import pytest

import _tiny


@pytest.fixture(scope="session")
def planted():
    """Models with known members (see tests/_tiny.py)."""
    return _tiny.planted()


@pytest.fixture(scope="session")
def planted_images():
    """Text-to-image models with a planted concept and planted pictures (see tests/_tiny_images.py)."""
    import _tiny_images

    return _tiny_images.planted()


@pytest.fixture
def neox():
    """A small untrained GPT-NeoX handle of one's own."""
    return _tiny.neox()


@pytest.fixture
def llama():
    """A small untrained Llama handle of one's own."""
    return _tiny.llama()


def pytest_addoption(parser):
    parser.addoption("--evidence", default=None, help="write what this run proves about each method to this file")


def pytest_configure(config):
    from hypothesis import settings

    settings.register_profile("house", deadline=None, derandomize=True)
    settings.load_profile("house")
    if config.getoption("--evidence"):
        from _evidence import Evidence

        config.option.markexpr = "not gpu and not network"  # a method is implemented when the slow tests pass as well
        config.pluginmanager.register(Evidence(Path(config.getoption("--evidence"))))
