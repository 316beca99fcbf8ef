"""Handles with parameters let loose or held: what several selections and the composite share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...core.errors import BadInput
from ...core.protocols import Trainable


def everything(model: Any) -> Trainable:
    """A copy of the model in which every parameter may move."""
    student = model.clone()
    student.module.requires_grad_(True)
    return Trainable(student, {}, loosened)


def only(model: Any, names: Iterable[str]) -> Trainable:
    """A copy of the model in which the named parameters may move, whole."""
    student, wanted = model.clone(), set(names)
    for name, parameter in student.module.named_parameters():
        parameter.requires_grad_(name in wanted)
        wanted.discard(name)
    if wanted:
        raise BadInput(f"the model has no parameter called {sorted(wanted)[0]}")
    return Trainable(student, {}, loosened)


def loosened(student: Any) -> Any:
    """The finished handle: all its parameters require grad again, as in a model freshly loaded."""
    student.module.requires_grad_(True)
    return student
