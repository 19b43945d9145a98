"""One HTML file that opens anywhere: style, script, Plotly and the figures' numbers are inside, nothing is fetched."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ..pictures.interactive import panel_height, plotly_of
from ..pictures.picture import Picture
from ..pictures.plain import numbers, web_address
from .content import Page, Predicted, Section, Slider
from .legend import legend_lines

Json = dict[str, Any]
SCRIPTS = ("calculator.js", "figures.js", "page.js")


def build_page(page: Page) -> str:
    """The HTML of `page`, about 2 MB of it Plotly.

    A content security policy in it forbids every request, so that what names from logs may hold cannot fetch anything
    either. Numbers are rounded to six digits.
    """
    figures = {
        graph_id(section, place, panel): graph
        for section in page.sections
        for place, part in enumerate(section.parts)
        if isinstance(part, Picture)
        for panel, graph in enumerate(plotly_of(part))
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    known: Any = environment  # jinja2 leaves both mappings untyped
    known.filters |= {"kind": _kind, "web_address": web_address}
    known.globals |= {"legend_lines": legend_lines, "panel_height": panel_height, "graph_id": graph_id}
    template = environment.from_string(_own("template.html.j2"))
    text = template.render(
        page=page,
        style=Markup(_own("style.css")),
        script=Markup("\n".join(map(_own, SCRIPTS))),
        plotly=Markup(packed_plotly() if figures else ""),
        data=embedded({"figures": figures, "slider": page.slider and slider_json(page.slider)}),
    )
    return text.encode("utf-8", "replace").decode()  # names of files may hold bytes that are no letters


def graph_id(section: Section, place: int, panel: int) -> str:
    """The id of a panel of the picture that stands at `place` in `section`."""
    return f"{section.anchor}-{place}-{panel}"


def slider_json(slider: Slider) -> Json:
    """What the page's script reads of `slider`: arrays of numbers, None where an answer is not known."""
    laws = [
        {
            "label": law.label,
            "counts": law.counts,
            "ours": law.ours,
            "n_params": _bounds(law.n_params),
            "tokens": _bounds(law.tokens),
            "loss": _bounds(law.loss),
        }
        for law in slider.laws
    ]
    return {
        "flops": numbers(slider.flops),
        "laws": laws,
        "measured": slider.measured,
        "start": slider.start,
        "level": slider.level,
    }


def _bounds(predicted: Predicted | None) -> Json | None:
    if predicted is None:
        return None
    bounds = {"value": predicted.value, "low": predicted.low, "high": predicted.high}
    return {name: None if values is None else numbers(values) for name, values in bounds.items()}


def _kind(part: object) -> str:
    return type(part).__name__


def embedded(content: object) -> Markup:
    """JSON that may stand inside a <script>: no letter of it can end the element."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


@functools.cache
def packed_plotly() -> str:
    """plotly.min.js, gzipped, in base64: 2 MB instead of 4.8."""
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingTypeStubs]

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
