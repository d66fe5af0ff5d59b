"""The one assembler of pages: sections of text, tables and figures in a single file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from petfmri import __version__
from petfmri.reports.figures import DPI
from petfmri.study.files import write_text

TEMPLATES = files("petfmri.reports") / "templates"


@dataclass
class Section:
    """One part of a page; its methods append and return it, so that they chain."""

    title: str
    blocks: list[dict[str, Any]] = field(default_factory=list)

    def text(self, text: str) -> Section:
        """Append a paragraph."""
        self.blocks.append({"kind": "text", "text": text})
        return self

    def bullets(self, items: Iterable[str]) -> Section:
        """Append a list."""
        self.blocks.append({"kind": "list", "items_": list(items)})
        return self

    def code(self, caption: str, text: str) -> Section:
        """Append preformatted text, folded away under its caption."""
        self.blocks.append({"kind": "code", "caption": caption, "text": text})
        return self

    def figure(self, figure: Figure, *, caption: str, alt: str, photo: bool = False) -> Section:
        """Append a figure: as SVG, or as WebP if it is mostly image."""
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a dollar in a name is no formula
        mime, data = _webp(figure) if photo else _svg(figure)
        encoded = base64.b64encode(data).decode()
        self.blocks.append(
            {"kind": "figure", "mime": mime, "data": encoded, "caption": caption, "alt": alt}
        )
        return self

    def table(
        self,
        table: pd.DataFrame,
        *,
        caption: str,
        names: Mapping[str, str] | None = None,
        links: Mapping[str, str] | None = None,
    ) -> Section:
        """Append a table.

        Parameters
        ----------
        table : DataFrame
            Its first column heads the rows.
        caption : str
        names : mapping of column to heading, optional
            Also selects and orders the columns.
        links : mapping of a row head to its page, optional
        """
        chosen = table[list(names)] if names else table
        links = links or {}
        rows = [
            [
                _cell(value, links.get(str(value)) if first == 0 else None)
                for first, value in enumerate(row)
            ]
            for row in chosen.itertuples(index=False)
        ]
        header = list(names.values()) if names else [str(name) for name in chosen]
        self.blocks.append({"kind": "table", "caption": caption, "header": header, "rows": rows})
        return self


@dataclass
class Page:
    """A self-contained HTML page.

    Parameters
    ----------
    title : str
    kicker : str
        One line above the title: the study.
    verdict : str
        What the page says, in words, first.
    links : sequence of (text, relative path)
        To the neighbouring pages.
    """

    title: str
    kicker: str = ""
    verdict: str = ""
    links: Sequence[tuple[str, str]] = ()
    sections: list[Section] = field(default_factory=list)

    def section(self, title: str) -> Section:
        """Start a section."""
        self.sections.append(Section(title))
        return self.sections[-1]

    def html(self) -> str:
        """Render; everything that comes from data is escaped."""
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string((TEMPLATES / "page.html").read_text(encoding="utf-8"))
        style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
        return template.render(
            title=self.title,
            kicker=self.kicker,
            verdict=self.verdict,
            links=self.links,
            sections=self.sections,
            style=jinja2.utils.markupsafe.Markup(style),
            version=__version__,
        )

    def save(self, path: Path) -> Path:
        """Write the page."""
        return write_text(self.html(), path)


def number(value: float) -> str:
    """Write a number with three significant digits and a real minus sign.

    Examples
    --------
    >>> number(-0.0123456), number(1234.5), number(0.5), number(float("nan"))
    ('−0.0123', '1234', '0.500', 'n/a')
    """
    if value != value:
        return "n/a"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        text = f"{value:.0f}"
    elif size >= 0.001:
        text = f"{value:#.3g}"
    else:
        text = f"{value:.1e}"
    return text.replace("-", "−")


def _cell(value: Any, link: str | None) -> dict[str, Any]:
    if value is None or value is pd.NA:
        return {"text": "n/a", "number": True, "link": link}
    if pd.api.types.is_bool(value):
        return {"text": "yes" if value else "no", "number": False, "link": link}
    if isinstance(value, str) or not pd.api.types.is_number(value):
        text = str(value)
        return {"text": text, "number": False, "link": link}
    whole = pd.api.types.is_integer(value)
    return {"text": str(value) if whole else number(float(value)), "number": True, "link": link}


def _svg(figure: Figure) -> tuple[str, bytes]:
    with mpl.rc_context({"svg.hashsalt": "petfmri", "svg.fonttype": "path"}):
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return "image/svg+xml", stream.getvalue()


def _webp(figure: Figure) -> tuple[str, bytes]:
    stream = io.BytesIO()
    figure.savefig(stream, format="webp", dpi=DPI, pil_kwargs={"quality": 82, "method": 2})
    return "image/webp", stream.getvalue()
