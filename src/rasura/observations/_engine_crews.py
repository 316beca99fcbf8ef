"""Engines by name: this process alone, the processes of one launch, a Ray cluster. No scheduler of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.errors import BadInput
from ._engine_processes import Processes, launched

if TYPE_CHECKING:
    from ._engine import Crew

ENGINES = ("local", "accelerate", "ray")


def crew(name: str | None = None) -> Crew | None:
    """Who computes missing shards. None: accelerate where a launcher started several processes, else local.

    Raises BadInput for an unknown name, MissingDependency without Ray.

    >>> crew("local") is None
    True
    """
    name = name or ("accelerate" if launched() else "local")
    if name == "local":
        return None
    if name == "accelerate":
        from ._engine_accelerate import Together

        return Together(Processes.start())
    if name == "ray":
        from ._engine_ray import Cluster

        return Cluster.start()
    raise BadInput(f"engine '{name}': expected {', '.join(ENGINES)}")
