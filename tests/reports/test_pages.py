from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from petfmri.reports.compare_page import compare_page, verdict
from petfmri.reports.index_page import index_page
from petfmri.reports.participant_page import Carpet, Overlay, participant_page
from petfmri.reports.predict_page import predict_page

HOSTILE = '<script>alert("1")</script> $\\frac{$ & --> _x'
QUALITY = pd.DataFrame(
    {
        "session_id": [None, "ses-pre"], "image": ["T1w", "pet"], "run": [None, HOSTILE],
        "description": ["Noise", HOSTILE], "value": [0.4, 3.0], "unit": ["1", "mm"],
        "flag": [None, "above 0.5"],
    }
)  # fmt: skip
PEOPLE = ["sub-01", "sub-02", "sub-03", HOSTILE]


def comparison(outcome, family, **values):
    return {
        "outcome": outcome,
        "family": family,
        "n": 4,
        "mean_pre": 2.0,
        "mean_post": 2.1,
        "change": 0.1,
        "percent": 5.25,
        "g": 1.4,
        "g_low": 0.2,
        "g_high": 2.5,
        "p": 0.125,
        "p_fwe": np.nan if family in ("primary", "global") else 0.04,
        "p_fdr": np.nan if family in ("primary", "global") else 0.03,
        "n_rise": 4,
        "n_fall": 0,
        "p_smallest": 0.125,
        "arrangements": 16,
        "detectable_percent": 6.0,
    } | values


@pytest.fixture(scope="module")
def comparisons():
    return pd.DataFrame(
        [
            comparison("suvr:PCC", "primary"),
            comparison("suvr_grey", "global", change=-0.2, percent=-8.0, g=-0.5),
            comparison(f"suvr:{HOSTILE}", "regions"),
            comparison("suvr:Vis_1", "regions", p_fwe=0.9),
            comparison("within_fc_Default", "networks"),
            comparison("segregation", "networks"),
        ]
    )


@pytest.fixture(scope="module")
def changes(comparisons):
    rows = []
    for outcome in comparisons["outcome"]:
        for number, person in enumerate(PEOPLE):
            rows.append(
                {
                    "participant_id": person,
                    "outcome": outcome,
                    "pre": 2.0,
                    "post": 2.0 + 0.1 * number,
                    "change": 0.1 * number,
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def pages(comparisons, changes):
    couplings = pd.DataFrame(
        {
            "x": ["suvr:PCC"],
            "y": [f"suvr:{HOSTILE}"],
            "method": ["pearson"],
            "n": [4],
            "r": [0.8],
            "p": [0.083],
        }
    )
    scores = pd.DataFrame(
        [
            {
                "question": f"{question} {HOSTILE}",
                "block": block,
                "n": 4,
                "n_features": 2,
                **dict.fromkeys(
                    ("q2", "q2_low", "q2_high", "p", "gain", "p_gain", "mae", "median_ae", "r"), 0.1
                ),
                "mae_mean": 3.0,
            }
            for question in ("baseline", "change")
            for block in ("pet", HOSTILE)
        ]
    )
    predictions = scores[["question", "block"]].merge(
        pd.DataFrame({"participant_id": PEOPLE, "observed": [1.0, 2, 3, 4], "predicted": 2.5}),
        how="cross",
    )
    sessions = pd.DataFrame(
        {
            "participant_id": PEOPLE,
            "session_id": "ses-pre",
            "arm": HOSTILE,
            "madrs": [1, 2, 3, None],
        }
    )
    image = np.random.default_rng(1).uniform(size=(12, 14, 10))
    labels = np.zeros(image.shape, int)
    labels[3:9, 3:11, 2:8] = 1
    curves = pd.DataFrame({"mid_min": [5.0, 65], "reference": [1.0, 2], HOSTILE: [2.0, 5]})
    return {
        "compare": compare_page(
            comparisons,
            changes,
            couplings,
            study=HOSTILE,
            notes=[HOSTILE],
            primary="suvr:PCC",
            matrices={"pre": np.eye(3), "post": np.zeros((3, 3)), "networks": ["A", HOSTILE, "A"]},
        ),
        "predict": predict_page(
            scores, predictions, study=HOSTILE, score=HOSTILE, verdict=HOSTILE, notes=[HOSTILE]
        ),
        "index": index_page(
            sessions,
            study=HOSTILE,
            answers=[(HOSTILE, HOSTILE, "group/compare/compare.html")],
            failures=[HOSTILE],
            truth=pd.DataFrame({"effect": [HOSTILE], "planted": [8.0]}),
            configuration=f"name: {HOSTILE}",
            participants={"sub-01": "sub-01.html"},
        ),
        "participant": participant_page(
            HOSTILE,
            study=HOSTILE,
            overlays=[Overlay(HOSTILE, image, labels, (1.0, 2.0, 3.0))],
            fd_mm={HOSTILE: np.array([0.0, 0.2, 0.9])},
            fd_threshold_mm=0.5,
            carpets={HOSTILE: Carpet(np.zeros((3, 2)), ["GM", "CSF"], np.array([0.0, 0.2, 0.9]))},
            curves={HOSTILE: curves},
            window_min=(60.0, 90.0),
            sessions=sessions,
            quality=QUALITY,
        ),
    }


def test_the_page_counts_scores_that_leave_their_limits(pages):
    assert "1 of 2 scores leave their usual limits" in pages["participant"].html()


class Reader(HTMLParser):
    """Collects tags, what they load or link, and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.targets, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.targets += [value for key, value in attributes if key in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


FIGURES = {"compare": 7, "predict": 2, "index": 0, "participant": 4}


@pytest.mark.parametrize("name", FIGURES)
def test_hostile_text_is_only_text(pages, name):
    html = pages[name].html()
    read = Reader(html)
    assert "script" not in read.tags and "<script" not in html
    assert any(HOSTILE in words for words in read.words)


@pytest.mark.parametrize("name", FIGURES)
def test_a_page_needs_no_network(pages, name, tmp_path):
    html = pages[name].save(tmp_path / "page.html").read_text(encoding="utf-8")
    read = Reader(html)
    outside = [t for t in read.targets if not t.startswith("data:") and not t.endswith(".html")]
    assert outside == []
    assert not [target for target in read.targets if "//" in target.split(",")[0]]
    assert not {"script", "link", "iframe"} & set(read.tags)


@pytest.mark.parametrize(("name", "count"), FIGURES.items())
def test_figures_are_complete_images(pages, name, count):
    images = re.findall(r'src="data:([^;]+);base64,([^"]+)"', pages[name].html())
    assert len(images) == count
    for mime, data in images:
        content = base64.b64decode(data)
        if mime == "image/webp":
            assert content[:4] == b"RIFF" and content[8:12] == b"WEBP"
        else:
            assert content.rstrip().endswith(b"</svg>") and b"<script" not in content


def test_the_verdict_is_that_of_the_primary_outcome(comparisons):
    said = verdict(comparisons)
    assert said.startswith("SUVR PCC rose by 5.25 % on average (4 of 4 persons rose)")
    assert "cannot tell from chance (smallest attainable p 0.125)" in said
    fall = comparisons.head(1).assign(
        change=-0.1, percent=-5.25, p=0.002, p_smallest=0.001, n_rise=0
    )
    assert "fell by 5.25 %" in verdict(fall)
    assert ", more than chance explains: p = 0.002" in verdict(fall)


def test_the_comparison_tells_its_primary_outcome_first(pages):
    titles = re.findall(r"<h2[^>]*>([^<]+)", pages["compare"].html())
    assert "can and cannot show" in titles[0]
    assert titles[1].startswith("Primary outcome") and "Global grey matter" in titles[2]


def test_families_say_how_many_survive(pages):
    words = " ".join(Reader(pages["compare"].html()).words)
    assert "1 of 2 survive family-wise correction" in words  # of the regions
    assert "2 of 2 survive family-wise correction" in words  # of the network measures


def test_the_overview_links_pages_and_people(pages):
    targets = Reader(pages["index"].html()).targets
    assert "group/compare/compare.html" in targets and "sub-01.html" in targets
    assert "sub-02.html" not in targets  # has no page


def test_missing_values_are_written_as_such(pages):
    assert "n/a" in Reader(pages["index"].html()).words


def test_a_study_without_extras_still_has_its_pages(comparisons, changes, pages):
    empty = pd.DataFrame(columns=["x", "y", "n", "r", "p"])
    html = compare_page(
        comparisons.head(1), changes, empty, study="a", notes=[], primary="suvr:PCC"
    ).html()
    assert "Are the changes related?" not in html and "Connectivity" not in html
    sessions = pd.DataFrame({"participant_id": ["sub-01"], "session_id": ["ses-pre"]})
    html = participant_page(
        "sub-01",
        study="a",
        overlays=[],
        fd_mm={},
        fd_threshold_mm=0.5,
        carpets={},
        curves={},
        window_min=(60, 90),
        sessions=sessions,
        quality=QUALITY[:0],
    ).html()
    assert "<img" not in html and "ses-pre" in html and "Quality" not in html


def test_the_verdict_never_mixes_a_percentage_with_another_direction(comparisons):
    other_way = comparisons.assign(change=-2.0, percent=47.0)
    assert "fell by 2.00 on average" in verdict(other_way)
    undefined = comparisons.assign(change=0.5, percent=float("nan"))
    assert "rose by 0.500 on average" in verdict(undefined)
    unchanged = comparisons.assign(change=0.0, percent=0.0)
    assert "did not change on average" in verdict(unchanged)
