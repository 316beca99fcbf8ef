"""What a verb accepts: a model or its path, records or their path, methods or their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .core import registry
from .core.errors import BadInput, NeedsRole, WrongModality
from .core.records import Skipped
from .core.types import Ask, Samples


def as_model(model: Any) -> Any:
    """A handle: the argument itself, or loaded from a path or hub id."""
    if isinstance(model, (str, Path)):
        from .models.loading import load

        return load(str(model))
    return model


def same_kind(models: Mapping[str, Any]) -> str:
    """The kind of model all of them are, "text" or "images". Raises WrongModality."""
    kinds = {role: model.modality for role, model in models.items()}
    if len(set(kinds.values())) > 1:
        raise WrongModality(
            f"a language model and a text-to-image model cannot be compared: {', '.join(f'{r} is {k}' for r, k in kinds.items())}"
        )
    return next(iter(kinds.values()))


def as_samples(records: Any, what: str, at_least: int = 1) -> Samples:
    """Samples from a path, a list of texts, or themselves. Raises BadInput when there are too few."""
    if isinstance(records, (str, Path)):
        from .data.readers import read_samples

        records = read_samples(records)
    elif not isinstance(records, Samples):
        items = list(records)
        records = Samples.of(items) if all(isinstance(i, str) for i in items) else Samples(items)
    if len(records) < at_least:
        raise BadInput(f"{what}: {len(records)} record{'s' * (len(records) != 1)}, at least {at_least} are needed")
    return records


class Everything(list[Any]):
    """All methods of a family, some with settings of their own: what cannot run is skipped, not an error."""


def named(chosen: Sequence[Any] | None) -> bool:
    """Did somebody name these methods, so that one that cannot run must not be passed over in silence?"""
    return chosen is not None and not isinstance(chosen, Everything)


def choose(family: str, chosen: Sequence[Any] | None, modality: str) -> list[Any]:
    """Instances of the methods asked for; None means every one of the family for this kind of model, at its defaults.

    Raises WrongModality for a named method of the other kind; among ``Everything`` it is passed over.
    """
    if chosen is None:
        return [registry.make(family, name) for name in registry.fitting(family, modality)]
    made = [registry.make(family, m) for m in chosen]
    if not named(chosen):
        return [m for m in made if registry.modality_of(m) in (modality, "any")]
    for m in made:
        check_modality(m, modality)
    return made


KINDS = {"text": "language models", "images": "text-to-image models"}


def check_modality(method: Any, modality: str) -> None:
    """Raises WrongModality when a method is for the other kind of model."""
    kind = registry.modality_of(method)
    if kind not in (modality, "any"):
        raise WrongModality(f"{registry.name_of(method)} is for {KINDS[kind]}; this is one of the {KINDS[modality]}")


def possible(methods: Iterable[Any], roles: Iterable[str], asked_for: bool) -> tuple[list[Any], list[Skipped]]:
    """Methods whose model roles are there, and the skipped ones with what would enable them.

    A method the user named must not be skipped silently: ``asked_for`` raises NeedsRole instead.
    """
    run, skipped, present = [], [], set(roles)
    for method in methods:
        asks = [ask if isinstance(ask, Ask) else ask.ask for ask in method.needs().values()]
        missing = sorted({role for ask in asks for role in roles_of(ask)} - present)
        if not missing:
            run.append(method)
        elif asked_for:
            raise NeedsRole(registry.name_of(method), missing[0])
        else:
            skipped.append(Skipped(registry.name_of(method), f"needs a {missing[0]} model: {_how(missing[0])}"))
    return run, skipped


def _how(role: str) -> str:
    """The option that gives a role."""
    kind, _, number = role.partition("_")
    if kind == "shadow":
        return "pass --shadows FOLDER"
    return f"pass --{kind} {number} times" if number.isdigit() else f"pass --{role}"


def roles_of(ask: Ask) -> set[str]:
    """The roles an ask is about, with those of what it looks at."""
    given = getattr(ask.what, "given", None)
    return {ask.role} | (set() if given is None else roles_of(given))


def role_of(ask: Any) -> str:
    """The model role an ask is about, whether or not it says which records too."""
    return ask.role if isinstance(ask, Ask) else ask.ask.role


def check_vocabulary(methods: Iterable[Any], models: Mapping[str, Any]) -> None:
    """Two models that cut text differently have no tokens in common to compare.

    A method that can compare them all the same says so with ``across_vocabularies``.
    """
    hashes = {role: model.vocabulary_hash for role, model in models.items()}
    for method in methods:
        roles = sorted({role_of(ask) for ask in method.needs().values()} & set(hashes))
        if len({hashes[r] for r in roles}) > 1 and not getattr(method, "across_vocabularies", False):
            sizes = ", ".join(f"{r} {models[r].vocabulary_size} entries" for r in roles)
            name = registry.name_of(method)
            raise BadInput(
                f"{name}: the models do not share a vocabulary ({sizes}), so their per-token numbers cannot be compared; "
                f"use a reference with the same tokenizer, or a method that compares per byte (--set reference.per=byte)"
            )
