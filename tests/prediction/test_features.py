from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import StatisticsError
from petfmri.prediction.features import Question, ask


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    regions, sessions = [], []
    for i in range(6):
        person = f"sub-{i + 1:02d}"
        for role, add in (("pre", 0.0), ("post", 1.0)):
            regions += [(person, role, name, i + add * (i + 1)) for name in ("L", "R", "V1")]
            sessions.append((person, role, role, 5.0 + i + add, 0.5 - 0.1 * add, 30 - 9 * add))
    return (
        pd.DataFrame(regions, columns=["participant_id", "session_id", "region", "suvr"]),
        pd.DataFrame(
            sessions,
            columns=[
                *("participant_id", "session_id", "role", "suvr_grey", "segregation", "madrs"),
            ],
        ),
    )


def asked(regions: pd.DataFrame | None, sessions: pd.DataFrame, **settings: object) -> Question:
    settings = {
        "symptom": "madrs",
        "rois": {"PCC": ["L", "R"]},
        "networks": ["segregation"],
    } | settings
    return ask(regions, sessions, **settings)  # type: ignore[arg-type]


def test_blocks_of_changes() -> None:
    question = asked(*tables(), source="change")
    assert question.name == "madrs after, from change"
    assert {name: list(block) for name, block in question.features.items()} == {
        "sv2a": ["suvr:PCC", "suvr_grey"],
        "fmri": ["segregation"],
        "all": ["suvr:PCC", "suvr_grey", "segregation"],
    }
    assert question.features["sv2a"].loc["sub-03", "suvr:PCC"] == 3.0
    assert question.features["fmri"]["segregation"].to_numpy() == pytest.approx(-0.1)
    assert list(question.clinical) == ["madrs before"]
    assert (question.clinical["madrs before"] == 30).all()
    assert (question.target == 21).all()
    assert any("nobody could have used them to foretell" in note for note in question.notes)


def test_blocks_before_the_dose() -> None:
    question = asked(*tables(), source="baseline")
    assert question.features["all"].loc["sub-03"].tolist() == [2.0, 7.0, 0.5]
    assert not any("foretell" in note for note in question.notes)


def test_one_modality_makes_one_block() -> None:
    regions, sessions = tables()
    assert list(asked(regions, sessions, networks=[]).features) == ["sv2a"]
    only = asked(None, sessions.drop(columns="suvr_grey"), rois=None)
    assert list(only.features) == ["fmri"]


def test_feature_that_half_the_persons_lack_is_named() -> None:
    regions, sessions = tables()
    few = sessions["participant_id"] < "sub-04"
    question = asked(regions, sessions.assign(segregation=sessions["segregation"].where(few)))
    assert list(question.features) == ["sv2a"]
    assert "Not used, missing in half of the persons or more: segregation." in question.notes


def test_needs_a_feature() -> None:
    _, sessions = tables()
    with pytest.raises(StatisticsError, match="no imaging feature"):
        asked(None, sessions.drop(columns="suvr_grey"), rois=None, networks=[])


def test_persons_without_a_session_are_named() -> None:
    regions, sessions = tables()
    sessions = sessions.drop(index=sessions.index[1])
    question = asked(regions, sessions)
    assert "sub-01" not in question.target.index
    assert "Left out because they have no post session: sub-01." in question.notes
    assert np.isfinite(question.features["all"].to_numpy()).all()
