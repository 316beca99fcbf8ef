"""Drawing surface of the plots: one theme, and matplotlib's SVG made fit to stand inside a page.

Plots are drawn in placeholder colours, which become CSS variables, so that one drawing serves light, dark and print;
text stays text in the page's own font.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 380  # of every plot, in px of its own; drawn narrow, so that text stays readable on a phone

INK, MUTED, RULE, SHADE, PAPER = "#101010", "#606060", "#c0c0c0", "#e0e0e0", "#fefefe"
BEFORE, AFTER, RETRAINED, OTHER = "#d55e00", "#0072b2", "#009e73", "#cc79a7"  # Okabe and Ito, 2008
SERIES = ("#111111", "#e69f00", "#56b4e9", "#cc79a6")
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    SHADE: "--shade",
    PAPER: "--paper",
    BEFORE: "--before",
    AFTER: "--after",
    RETRAINED: "--retrained",
    OTHER: "--other",
    **{colour: f"--series-{i + 1}" for i, colour in enumerate(SERIES)},
}
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "D", "^")
ROLE_STYLE = {"before": (BEFORE, "o"), "after": (AFTER, "s"), "retrained": (RETRAINED, "D")}

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
THEME: dict[str, Any] = {
    "svg.hashsalt": "rasura",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "lines.solid_capstyle": "round",
    "lines.dash_capstyle": "butt",
    "path.simplify": True,
    "axes.unicode_minus": True,
}


def drawn(draw: Callable[..., Figure | None]) -> Callable[..., str]:
    """Make a function that draws a Figure one that gives SVG text for a page; None (nothing to draw) gives ""."""

    def svg(*args: Any, **settings: Any) -> str:
        import matplotlib

        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # glyphs the measuring font lacks: the page's font draws them
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(THEME)
            figure = draw(*args, **settings)
            if figure is None:
                return ""
            stream = io.StringIO()
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
        return for_page(stream.getvalue(), draw.__name__)

    svg.__doc__, svg.__name__ = draw.__doc__, draw.__name__
    return svg


def canvas(height: float, width: float = WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72))


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in px from the upper left corner."""
    w, h = figure.get_size_inches() * 72
    axes = figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))
    axes.tick_params(length=3, width=0.8, pad=3)
    return axes


def for_page(svg: str, name: str) -> str:
    """The drawing as an element: no prologue, no metadata, no style sheet, unique ids, colours by variable."""
    root = ElementTree.fromstring(svg.encode())
    prefix = f"{name}-{abs(_checksum(svg)):08x}-"
    for parent in root.iter():
        for child in [c for c in parent if c.tag.rpartition("}")[2] in ("metadata", "style")]:
            parent.remove(child)
    for element in root.iter():
        _adapt(element, prefix)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("aria-hidden", "true")  # the caption and the table beside it say the same in words
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode").replace(f' xmlns:xlink="{XLINK}"', "")


def _adapt(element: ElementTree.Element, prefix: str) -> None:
    a = element.attrib
    if f"{{{XLINK}}}href" in a:
        a["href"] = "#" + prefix + a.pop(f"{{{XLINK}}}href")[1:]
    if "id" in a:
        a["id"] = prefix + a["id"]
    if "clip-path" in a:
        a["clip-path"] = a["clip-path"].replace("url(#", f"url(#{prefix}")
    if "style" in a:
        style = re.sub(r"font-family:[^;]*;?\s*", "", a["style"])
        style = re.sub(r"#[0-9a-f]{6}", lambda m: f"var({VARIABLES.get(m.group(), '--ink')})", style)
        a["style"] = style
    if "d" in a:
        a["d"] = " ".join(a["d"].split())
    element.tail = None
    if element.text is not None and not element.text.strip():
        element.text = None


def _checksum(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode())
