"""What the closed-form edits share: who is erased and kept, and the three ways to put a text map into a model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ...core.errors import BadInput
from ...core.types import Request
from ...models.text_map import TextMap, with_lora
from .._outcome import Outcome

Form = Literal["in place", "adapter", "prompt hook"]
FORMS = ("in place", "adapter", "prompt hook")


def check(name: str, form: str, templates: Sequence[str], **positive: float) -> None:
    """Settings that mean nothing are refused in one line."""
    if form not in FORMS:
        raise BadInput(f"{name}: form is '{form}'; there are {', '.join(FORMS)}")
    if not all("{}" in t for t in templates):
        raise BadInput(f"{name}: every template needs a {{}} where the concept goes")
    for field, value in positive.items():
        if not value > 0:
            raise BadInput(f"{name}: {field} is {value}, expected a number above 0")


def concept_of(name: str, request: Request, guide: str) -> str:
    """The phrase to erase. Raises BadInput when there is none, or when it is the destination too."""
    if not (request.concept or "").strip():
        raise BadInput(f"{name} erases a phrase: name it (--concept, in Python Request(..., concept=...))")
    if request.concept.split() == guide.split():
        raise BadInput(f"{name}: the guide is the concept itself, '{guide}': nothing would change; give another guide")
    return request.concept


def prompts(name: str, templates: Sequence[str], request: Request, concept: str, guide: str) -> list[tuple[str, str]]:
    """(source, target) prompts: each template with the concept and with the guide, distinct.

    Without templates the forget prompts that name the concept are their own. Raises BadInput when none does.

    >>> from ...core.types import Samples
    >>> prompts("uce", (), Request(Samples.of(["a red ring", "rings"]), concept="ring"), "ring", "disc")
    [('a red ring', 'a red disc')]
    """
    word = re.compile(rf"(?<!\w){re.escape(concept.strip())}(?!\w)", re.IGNORECASE)
    if not templates:
        templates = [word.sub("{}", t) for t in request.forget.texts if word.search(t)]
        if not templates:
            raise BadInput(f"{name}: no forget prompt names the concept, and there are no templates: give one of them")
    return [(t.replace("{}", concept), t.replace("{}", guide)) for t in dict.fromkeys(templates)]


def kept_texts(model: Any, request: Request, concept: str) -> tuple[str, ...]:
    """Distinct retain texts that do not name the concept."""
    return tuple(dict.fromkeys(t for t in request.retain.texts if not model.span(t, concept)))


def warnings_of(model: Any, request: Request, concept: str, guide: str) -> Iterator[str]:
    """What a reader of the record should know about the words."""
    for what, phrase in (("concept", concept), ("guide", guide)):
        count = len(model.tokens(phrase).words)
        if count > len(phrase.split()):
            yield f"the tokenizer has no word for the {what}: it is read as {count} pieces"
    named = sum(bool(model.span(t, concept)) for t in request.retain.texts)
    if named:
        yield f"{named} retain texts name the concept and were not preserved"


def finished(
    model: Any, text_map: TextMap, form: str, label: str, checkpoint: Path | None, keys: bool, warnings: Sequence[str]
) -> Outcome:
    """The map put into the model. ``checkpoint``: a folder; an adapter is written there as diffusers loads it."""
    if form == "prompt hook":
        if not keys:
            raise BadInput("a prompt hook reaches keys and values alike: take another form, or edit both")
        return Outcome(text_map.hook(model, label), text_map.numbers, tuple(warnings))
    edited = text_map.in_place(model, keys=keys) if form == "in place" else _fused(model, text_map, checkpoint, keys)
    return Outcome(edited.with_treatment(label), text_map.numbers, tuple(warnings))


def _fused(model: Any, text_map: TextMap, checkpoint: Path | None, keys: bool) -> Any:
    """The handle that whoever loads the adapter file and fuses it has."""
    with tempfile.TemporaryDirectory() as passing:
        file = text_map.as_lora(model, Path(checkpoint or passing) / "adapter", keys=keys)
        return with_lora(model, file)
