"""Fit curves with NiftyPAD, in an environment of its own: `python niftypad_peer.py IN.npz OUT.npz`.

IN holds tac (n, frames), reference (frames,), start_s and end_s (frames,), k2prime (per min),
weights (frames,) or an empty array, and lowest and highest rate (per min). OUT holds BP_ND and the
CPU seconds of each model.
"""

from __future__ import annotations

import sys
import time
import warnings

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from niftypad import basis, kt, models

LATE_S = 2400


def main(source: str, target: str) -> None:
    warnings.simplefilter("ignore")
    given = np.load(source)
    tac, reference = given["tac"], given["reference"]
    dt = np.stack([given["start_s"], given["end_s"]]).astype(int)
    k2prime = float(given["k2prime"]) / 60
    weights = given["weights"] if given["weights"].size else None
    root = None if weights is None else np.sqrt(weights)
    each_second = kt.interpt1(kt.dt2mft(dt), reference, dt)
    limits = [float(given["lowest"]) / 60, float(given["highest"]) / 60]
    srtm = basis.make_basis(each_second, dt, beta_lim=limits, n_beta=128, w=root)
    srtm2 = basis.make_basis(each_second, dt, beta_lim=limits, n_beta=128, w=weights, k2p=k2prime)
    graphical = {
        "dt": dt, "inputf1": each_second, "k2p": k2prime, "linear_phase_end": None, "fig": False,
    }  # fmt: skip
    fits = {
        "SRTM": lambda y: models.srtmb_basis(y, srtm)["bp"],
        "SRTM2": lambda y: models.srtmb_k2p_basis(y, srtm2)["bp"],
        "MRTM2": lambda y: models.mrtm_k2p(y, w=weights, linear_phase_start=None, **graphical)[
            "bp"
        ],
        "refLogan": lambda y: models.logan_ref_k2p(
            y, w=None, linear_phase_start=LATE_S, **graphical
        )["bp"],
    }
    results = {}
    for name, fit in fits.items():
        start = time.process_time()
        values = np.array([float(fit(curve.copy())) for curve in tac])
        results |= {name: values, f"{name}_cpu_s": time.process_time() - start}
    np.savez(target, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
