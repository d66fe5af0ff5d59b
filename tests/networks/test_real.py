"""Real parcel series of two people, from the file to the network metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.bold.censoring import Censoring
from petfmri.bold.denoise import Cleaning, denoise
from petfmri.bold.pooling import pool_series
from petfmri.bold.series_files import read_series
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.network_fc import between_network_fc
from petfmri.networks.registry import network_metrics

YEO7 = {"Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default"}


@pytest.fixture(scope="module")
def cortex(shared_data):
    """The network of each Schaefer-200 parcel, in the atlas' order."""
    lines = (shared_data / "atlas" / "SchaeferTian232_2mm.txt").read_text().splitlines()
    networks = [line.split("_")[2] for line in lines if line.startswith("7Networks_")]
    assert len(networks) == 200
    assert set(networks) == YEO7
    return networks


@pytest.fixture(scope="module")
def lsd(shared_data):
    folder = shared_data / "fmri" / "lsd_ds003059" / "SchaeferTian232"
    return {
        session: [
            read_series(folder / f"sub-001_ses-{session}_task-rest_run-{run}_bold.mat", "V_roi")
            for run in ("01", "03")
        ]
        for session in ("PLCB", "LSD")
    }


@pytest.fixture(scope="module")
def lemon(shared_data):
    (path,) = (shared_data / "fmri" / "lemon_rest").glob("*_schaefer200_ts.csv.gz")
    return read_series(path)


def default_to_others(series, networks):
    z = fisher_z(correlate(series))
    return np.mean(
        [between_network_fc(z, networks, "Default", other) for other in YEO7 - {"Default"}]
    )


def test_lsd_columns_are_schaefer_then_tian(lsd, lemon, cortex):
    """The label file lists Tian first; the data do not.

    Left and right nuclei of one name correlate far above others only in the last 32 columns, and
    only the first 200 look like another person's Schaefer-200 connectivity.
    """
    series = pool_series(lsd["PLCB"])
    r = correlate(series)
    pairs = np.triu_indices(200, 1)

    def likeness(start):
        other = r[start : start + 200, start : start + 200]
        return np.corrcoef(correlate(lemon)[pairs], other[pairs])[0, 1]

    def homologues(start):
        block = r[start : start + 16, start + 16 : start + 32]
        return np.diag(block).mean() - block[~np.eye(16, dtype=bool)].mean()

    assert likeness(0) > 0.3 > 0.15 > likeness(32)
    assert homologues(200) > 0.5 > 0.1 > homologues(0)


def test_lsd_against_placebo(lsd, cortex):
    """One person: numbers to look at, not to conclude from."""
    sessions = [pool_series(lsd[name])[:, :200] for name in ("PLCB", "LSD")]
    placebo, drug = (network_metrics(x, cortex) for x in sessions)
    for values, series in zip((placebo, drug), sessions):
        assert np.isfinite(list(values.values())).all()
        assert (values["n_frames"], values["n_parcels"]) == (434, 200)
        assert 0.3 < values["segregation"] < 0.9
        assert 0.3 < values["ngsc"] < 0.9
        assert values["within_fc_Default"] > default_to_others(series, cortex)
    assert drug["segregation"] < placebo["segregation"]
    assert drug["between_fc_Default_SomMot"] > placebo["between_fc_Default_SomMot"]
    assert drug["ngsc"] > placebo["ngsc"]


def test_lemon_denoised(lemon, cortex, shared_data):
    confounds = pd.DataFrame(
        np.loadtxt(shared_data / "fmri" / "lemon_rest" / "sub-010188_confounds.txt")
    ).rename(columns=lambda number: f"confound{number:02d}")
    cleaning = Cleaning(list(confounds.columns), censoring=Censoring(fd_threshold_mm=None))
    result = denoise(lemon, confounds, cleaning, tr_s=1.4)
    assert result.n_regressors == 28  # 29 columns with a constant and a trend among them
    assert 100 < result.df_effective < 652 - 28
    raw, clean = network_metrics(lemon, cortex), network_metrics(result.series, cortex)
    assert np.isfinite(list(clean.values())).all()
    assert clean["within_fc_Default"] > default_to_others(result.series, cortex)
    assert clean["between_fc"] < raw["between_fc"]
    assert clean["segregation"] > raw["segregation"]
    assert 0.4 < clean["segregation"] < 0.8
