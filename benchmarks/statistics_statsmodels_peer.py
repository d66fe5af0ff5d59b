"""Mixed models of statsmodels, in an environment of its own: `... IN.npz OUT.npz`.

IN holds y (n_obs, n), x (n_obs, p), own (n_obs, n, q), person and cell (n_obs,), and contrasts
(n_contrasts, p + q). Each outcome is fitted as MixedLM does by default, and by a simplex search on
MixedLM's own restricted likelihood (log of the two variance ratios), which finds what its optimizers
miss when they stop early.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

DEFAULT_FITS = 20  # outcomes that are also fitted by MixedLM.fit, for time and convergence

SMALL, NOTHING = -3.0, -16.0  # log of a variance ratio


def main(source: str, target: str) -> None:
    warnings.simplefilter("ignore")
    given = dict(np.load(source))
    person, cell = given["person"], given["cell"]
    people = np.unique(person)
    levels = [np.unique(cell[person == one]) for one in people]
    mats = [(cell[person == one][:, None] == own).astype(float) for one, own in zip(people, levels)]
    spec = VCSpec(["cell"], [[list(map(str, own)) for own in levels]], [mats])
    rows, fits, seconds = [], [], 0.0
    for k in range(given["y"].shape[1]):
        x = np.column_stack([given["x"], given["own"][:, k]])
        model = MixedLM(
            given["y"][:, k], x, groups=person, exog_re=np.ones((len(x), 1)), exog_vc=spec
        )
        if k < DEFAULT_FITS:
            start = time.process_time()
            fit = model.fit(reml=True)
            seconds += time.process_time() - start
            fits.append([fit.llf, fit.converged])
        rows.append(polished(model, given["y"][:, k], x, person, cell, given["contrasts"]))
    np.savez(target, **{name: np.array([row[name] for row in rows]) for name in rows[0]},
             fits=np.array(fits, dtype=float), seconds=seconds / DEFAULT_FITS)  # fmt: skip


def polished(model, y, x, person, cell, contrasts) -> dict[str, object]:
    model.reml, model.cov_pen, model.fe_pen, model._cov_sing = True, None, None, 0

    def cost(logs):
        ratios = np.exp(logs)
        given = MixedLMParams.from_components(
            fe_params=np.zeros(x.shape[1]), cov_re=ratios[:1, None], vcomp=ratios[1:]
        )
        return -model.loglike(given, profile_fe=True)

    found = minimize(
        cost, [-0.7, -1.2], method="Nelder-Mead", bounds=[(-16, 16)] * 2,
        options={"xatol": 1e-5, "fatol": 1e-9, "maxiter": 300},
    )  # fmt: skip
    best, at = found.fun, found.x
    for k in np.flatnonzero(found.x < SMALL):  # the boundary is infinitely far in logs: go there

        def along(value, k=k):
            return cost(np.where(np.arange(2) == k, NOTHING, value))

        edge = minimize_scalar(along, bounds=(-10, 4), method="bounded", options={"xatol": 1e-6})
        if edge.fun < best:
            best, at = edge.fun, np.where(np.arange(2) == k, NOTHING, edge.x)
    a, b = np.exp(at)
    labels = 2 * person + cell
    v = np.eye(len(y)) + a * (person[:, None] == person) + b * (labels[:, None] == labels)
    inverse = np.linalg.inv(v)
    covariance = np.linalg.inv(x.T @ inverse @ x)
    beta = covariance @ (x.T @ inverse @ y)
    rest = y - x @ beta
    scale = rest @ inverse @ rest / (len(y) - x.shape[1])
    se = np.sqrt(scale * np.diag(contrasts @ covariance @ contrasts.T))
    return {
        "llf": -best, "estimate": contrasts @ beta, "se": se,
        "residual": scale, "person": scale * a, "cell": scale * b,
    }  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
