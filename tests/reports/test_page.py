from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
from matplotlib.figure import Figure

from petfmri.reports.page import Page

HOSTILE = "<script>alert(1)</script>"


def example() -> Page:
    page = Page(HOSTILE, HOSTILE, HOSTILE, [(HOSTILE, "index.html")])
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1], [0, 1])
    table = pd.DataFrame({"id": [HOSTILE], "value": [-0.5], "n": [3], "missing": [float("nan")]})
    page.section(HOSTILE).text(HOSTILE).bullets([HOSTILE]).code(HOSTILE, HOSTILE).table(
        table, caption=HOSTILE
    ).figure(figure, caption=HOSTILE, alt=f'"{HOSTILE}')
    return page


def test_text_from_data_is_escaped_everywhere():
    html = example().html()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 10


def test_a_page_loads_nothing(tmp_path):
    html = example().save(tmp_path / "page.html").read_text()
    loads = re.findall(r"(?:src|href)=[\"']?(?!data:|index\.html)([^\"' >]+)", html)
    assert loads == []
    assert "@import" not in html and "url(" not in html


def test_tags_are_balanced():
    stack = []

    class Balance(HTMLParser):
        void = ("meta", "img", "br")

        def handle_starttag(self, tag, attrs):
            if tag not in self.void:
                stack.append(tag)

        def handle_endtag(self, tag):
            assert stack.pop() == tag

    Balance().feed(example().html())
    assert stack == []


def test_the_same_content_gives_the_same_bytes():
    assert example().html() == example().html()


def test_numbers_are_written_for_people():
    html = example().html()
    assert "−0.500" in html and ">3<" in html and "n/a" in html
