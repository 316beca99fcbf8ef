"""The public list is sorted, complete and lazily true."""

from __future__ import annotations

import rasura


def test_public_names_resolve_and_are_sorted():
    assert rasura.__all__ == sorted(rasura.__all__)
    assert set(rasura.__all__) == set(rasura._HOMES)
    for name in rasura.__all__:
        assert getattr(rasura, name) is not None
    assert 10 <= len(rasura.__all__) <= 18


def test_unknown_names_are_attribute_errors():
    try:
        rasura.audti  # noqa: B018
    except AttributeError as error:
        assert "audti" in str(error)
    else:
        raise AssertionError("a typo must not pass")


def test_dir_shows_the_public_names():
    assert set(rasura.__all__) <= set(dir(rasura))
