"""Signals by name: a test of a signal whose file was removed is skipped and breaks no other."""

from __future__ import annotations

from typing import Any

import pytest

from rasura.core import registry


def signal(name: str, *values: Any, **settings: Any) -> Any:
    """An instance with these settings."""
    module(name)
    return registry.get("signals", name)(*values, **settings)


def module(name: str) -> Any:
    """The file of the signal, for its kernel."""
    if name not in registry.names("signals"):
        pytest.skip(f"there is no signal {name}")
    return registry.module_of("signals", name)
