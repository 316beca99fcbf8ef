"""Rasura finds what a generative model memorised, erases it, and proves whether it is gone.

    audit -> extract -> erase -> verify -> report

Every verb takes models as paths or handles, records as paths or ``Samples``, methods as names or instances, and
returns a record (see ``rasura.core.records``). Imported lazily: ``import rasura`` loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._audit import audit
    from ._erase import erase
    from ._extract import extract
    from ._mark import mark
    from ._verify import verify
    from .core.errors import RasuraError
    from .core.registry import get, method, names
    from .core.store import Store
    from .core.types import Estimate, Request, Sample, Samples
    from .models.causal_lm import CausalLM
    from .report import render

__version__ = "0.1.0"

_HOMES = {
    "CausalLM": ".models.causal_lm",
    "Estimate": ".core.types",
    "RasuraError": ".core.errors",
    "Request": ".core.types",
    "Sample": ".core.types",
    "Samples": ".core.types",
    "Store": ".core.store",
    "audit": "._audit",
    "erase": "._erase",
    "extract": "._extract",
    "get": ".core.registry",
    "mark": "._mark",
    "method": ".core.registry",
    "names": ".core.registry",
    "render": ".report",
    "verify": "._verify",
}

__all__ = [
    "CausalLM",
    "Estimate",
    "RasuraError",
    "Request",
    "Sample",
    "Samples",
    "Store",
    "audit",
    "erase",
    "extract",
    "get",
    "mark",
    "method",
    "names",
    "render",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rasura' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
