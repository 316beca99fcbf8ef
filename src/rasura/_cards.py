"""What verbs write into every record: who the model is, which records, which methods, how to run it again."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from .core import registry
from .core.records import MethodUsed, ModelCard, Population, Run
from .core.status import status
from .core.types import Samples, digest, plain

PACKAGES = (
    "rasura",
    "torch",
    "transformers",
    "diffusers",
    "tokenizers",
    "peft",
    "accelerate",
    "numpy",
    "scipy",
    "scikit-learn",
)


def model_card(role: str, model: Any) -> ModelCard:
    """One model of the record."""
    return ModelCard(
        role=role,
        name=model.name,
        fingerprint=model.fingerprint,
        parameters=model.parameters,
        architecture=model.architecture,
        treatments=model.treatments,
        modality=model.modality,
    )


def model_cards(models: Mapping[str, Any]) -> tuple[ModelCard, ...]:
    return tuple(model_card(role, model) for role, model in models.items())


def notes(models: Mapping[str, Any]) -> list[str]:
    """Warnings the models themselves bring, each once."""
    return list(dict.fromkeys(line for model in models.values() for line in model.notes))


def population(name: str, samples: Samples, reasons: Sequence[str] = ()) -> Population:
    """One set of records; ``reasons`` has one entry a sample, empty where it could be scored."""
    counts = Counter(str(r) for r in reasons if r)
    return Population(name, len(samples), samples.digest, sum(counts.values()), dict(sorted(counts.items())))


def used(family: str, instance: Any) -> MethodUsed:
    """A method as the record keeps it: settings by field, and the evidence behind it."""
    name = registry.name_of(instance)
    settings = {f.name: _shown(f, getattr(instance, f.name)) for f in dataclasses.fields(instance)}
    known = family in registry.FAMILIES and name in registry.names(family)
    return MethodUsed(
        family, name, settings, status(family, name) if known else "unproven", getattr(instance, "paper", "")
    )


def unproven(methods: Iterable[MethodUsed]) -> list[str]:
    """One warning for all methods whose file has no conformance evidence as it stands."""
    names = sorted({m.name for m in methods if m.status == "unproven" and m.family in registry.FAMILIES})
    return [f"no conformance evidence for this version of: {', '.join(names)}"] if names else []


def _shown(field: dataclasses.Field[Any], value: Any) -> Any:
    """A setting that holds somebody's text (``metadata={"private": True}``) is kept as its digest."""
    return f"digest {digest(value)}" if field.metadata.get("private") and value else _setting(value)


def _setting(value: Any) -> Any:
    """Plain data without class paths: a record outlives a renamed module."""
    data = plain(value)
    return {k: v for k, v in data.items() if k != "class"} if isinstance(data, dict) else data


def run_card(command: str, seed: int) -> Run:
    """Seed and package versions."""
    return Run(command, seed, {name: _version(name) for name in PACKAGES})


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def reasons_of(*parts: Any) -> list[str]:
    """Reasons of several observations' rows, one after the other."""
    return [str(r) for part in parts for r in np.asarray(part.reason, dtype=object)]
