from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.statistics.reml import profile, reml
from petfmri.statistics.reml_layers import Layers

N, TIMES = 16, 4
PERSON = np.repeat(np.arange(N), 2 * TIMES)
PERIOD = np.tile(np.repeat([0, 1], TIMES), N)
SEQUENCE = PERSON % 2
TREATMENT = (PERIOD == SEQUENCE) - 0.5
TIME = np.tile(np.arange(TIMES), 2 * N)
SUMS = np.eye(TIMES)[TIME][:, :-1] - np.eye(TIMES)[TIME][:, [-1]]
DESIGN = np.column_stack(
    [np.ones(PERSON.size), SEQUENCE - 0.5, PERIOD - 0.5, SUMS, TREATMENT, TREATMENT[:, None] * SUMS]
)
MAIN = np.eye(DESIGN.shape[1])[[6]]


def simulated(n_outcomes, sd=(0.7, 0.5, 1.0), effect=0.0, seed=0):
    rng = np.random.default_rng(seed)
    person = rng.normal(size=(N, n_outcomes)) * sd[0]
    cell = rng.normal(size=(2 * N, n_outcomes)) * sd[1]
    rest = rng.normal(size=(PERSON.size, n_outcomes)) * sd[2]
    return person[PERSON] + cell[2 * PERSON + PERIOD] + rest + effect * TREATMENT[:, None]


def test_balanced_crossover_is_the_two_sample_t_of_period_differences():
    y = simulated(40)
    fit = reml(y, DESIGN, person=PERSON, cell=PERIOD, contrasts=MAIN)
    means = y.reshape(N, 2, TIMES, -1).mean(axis=2)
    difference = means[:, 0] - means[:, 1]
    group = np.arange(N) % 2
    by_hand = stats.ttest_ind(difference[group == 0], difference[group == 1])
    inner = ~(fit.cell_boundary | fit.person_boundary)
    assert inner.sum() > 20
    assert fit.tests.t[0, inner] == pytest.approx(by_hand.statistic[inner], rel=1e-6)
    assert fit.tests.df[0, inner] == pytest.approx(N - 2, rel=1e-6)
    assert fit.tests.p[0, inner] == pytest.approx(by_hand.pvalue[inner], rel=1e-6)
    assert fit.tests.estimate[0] == pytest.approx(
        (difference[group == 0].mean(axis=0) - difference[group == 1].mean(axis=0)) / 2
    )


def test_balanced_within_visits_is_the_f_of_the_residual_stratum():
    y = simulated(30, seed=1)
    joint = np.eye(DESIGN.shape[1])[7:]
    fit = reml(y, DESIGN, person=PERSON, cell=PERIOD, contrasts=MAIN, joint=joint)
    inner = ~(fit.cell_boundary | fit.person_boundary)
    cells = 2 * PERSON + PERIOD
    within = np.column_stack([DESIGN, np.eye(2 * N)[cells]])
    rss = [
        np.linalg.lstsq(x, y, rcond=None)[0] for x in (within, np.delete(within, [7, 8, 9], axis=1))
    ]
    rss = [
        ((y - x @ b) ** 2).sum(axis=0)
        for x, b in zip((within, np.delete(within, [7, 8, 9], axis=1)), rss)
    ]
    df = PERSON.size - np.linalg.matrix_rank(within)
    f = (rss[1] - rss[0]) / 3 / (rss[0] / df)
    assert fit.joint.f[inner] == pytest.approx(f[inner], rel=1e-6)
    assert fit.joint.df[inner] == pytest.approx(df, rel=1e-5)
    assert fit.residual[inner] == pytest.approx(rss[0][inner] / df, rel=1e-6)


def test_balanced_variances_are_those_of_mean_squares():
    y = simulated(50, seed=2)
    fit = reml(y, DESIGN, person=PERSON, cell=PERIOD, contrasts=MAIN)
    inner = ~(fit.cell_boundary | fit.person_boundary)
    means = y.reshape(N, 2, TIMES, -1).mean(axis=2)
    group = np.arange(N) % 2
    half = (means[:, 0] - means[:, 1]) / np.sqrt(2)
    whole = (means[:, 0] + means[:, 1]) / np.sqrt(2)

    def square(values):
        return sum(((v - v.mean(0)) ** 2).sum(0) for v in (values[group == 0], values[group == 1]))

    between, cells = square(whole) / (N - 2), square(half) / (N - 2)
    assert fit.cell[inner] == pytest.approx((cells - fit.residual / TIMES)[inner], rel=1e-5)
    assert fit.person[inner] == pytest.approx(((between - cells) / 2)[inner], rel=1e-5)


def unbalanced(seed=3):
    keep = np.ones(PERSON.size, dtype=bool)
    keep[[3, 20, 40, 41, 77]] = False
    keep[24:28] = False
    return keep


def test_unbalanced_variances_and_effect_come_back():
    keep, truth = unbalanced(), (0.7, 0.5, 1.0)
    y = simulated(3000, truth, effect=0.4, seed=4)[keep]
    fit = reml(y, DESIGN[keep], person=PERSON[keep], cell=PERIOD[keep], contrasts=MAIN)
    assert fit.converged.all()
    assert fit.residual.mean() == pytest.approx(1.0, abs=0.02)
    assert np.median(fit.person) == pytest.approx(0.49, abs=0.08)
    assert fit.tests.estimate.mean() == pytest.approx(0.4, abs=0.02)
    t = (fit.tests.estimate - 0.4) / fit.tests.se
    p = 2 * stats.t.sf(np.abs(t), fit.tests.df)
    assert 0.035 < (p < 0.05).mean() < 0.065


def test_derivatives_are_those_of_the_dense_criterion():
    keep = unbalanced()
    person, period = PERSON[keep], PERIOD[keep]
    x, y = DESIGN[keep], simulated(1, seed=5)[keep]
    layers = Layers.of(person, period)
    basis = layers.basis(np.column_stack([x, y])[None])
    cells = 2 * person + period
    same_person = (person[:, None] == person).astype(float)
    same_cell = (cells[:, None] == cells).astype(float)

    def dense(a, b):
        v = np.eye(len(y)) + a * same_person + b * same_cell
        inverse = np.linalg.inv(v)
        m = x.T @ inverse @ x
        rest = y - x @ np.linalg.solve(m, x.T @ inverse @ y)
        rss = float((rest.T @ inverse @ rest)[0, 0])
        logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(m)[1]
        return (logs + (len(y) - x.shape[1]) * np.log(rss)) / 2

    a, b, h = 0.6, 0.3, 1e-4
    at = profile(basis, layers, np.array([[a, b]]), len(y))
    assert at.value[0] == pytest.approx(dense(a, b), abs=1e-9)
    slope = [
        (dense(a + h, b) - dense(a - h, b)) / (2 * h),
        (dense(a, b + h) - dense(a, b - h)) / (2 * h),
    ]
    assert at.slope[0] == pytest.approx(slope, rel=1e-5)
    mixed = dense(a + h, b + h) - dense(a + h, b - h) - dense(a - h, b + h) + dense(a - h, b - h)
    assert at.curve[0, 0, 1] == pytest.approx(mixed / (4 * h**2), rel=1e-3)


def test_a_component_that_is_not_there_is_exactly_zero_and_its_df_are_pooled():
    keep = np.ones(PERSON.size, dtype=bool)
    y = simulated(60, (0.7, 0.0, 1.0), seed=6)
    fit = reml(y, DESIGN[keep], person=PERSON, cell=PERIOD, contrasts=MAIN)
    at = fit.cell_boundary & ~fit.person_boundary
    assert 0.3 < fit.cell_boundary.mean() < 0.9
    assert (fit.cell[at] == 0).all()
    alone = reml(y[:, at], DESIGN, person=PERSON, contrasts=MAIN)
    assert fit.tests.df[0, at] == pytest.approx(alone.tests.df[0], rel=1e-6)
    assert fit.person[at] == pytest.approx(alone.person, rel=1e-5)
    assert fit.tests.df[0, at] == pytest.approx(PERSON.size - N - DESIGN.shape[1] + 2, rel=1e-6)


def test_own_covariates_are_those_of_a_fit_by_itself():
    rng = np.random.default_rng(7)
    y, own = simulated(3, seed=7), rng.normal(size=(PERSON.size, 3, 2))
    shared = {"person": PERSON, "cell": PERIOD}
    contrasts = np.eye(DESIGN.shape[1] + 2)[[6, -1]]
    together = reml(y, DESIGN, **shared, covariates=own, contrasts=contrasts)
    for k in range(3):
        x = np.column_stack([DESIGN, own[:, k]])
        alone = reml(y[:, [k]], x, **shared, contrasts=contrasts)
        assert together.tests.p[:, k] == pytest.approx(alone.tests.p[:, 0], rel=1e-6)


def test_outcomes_without_rest_are_missing_and_leave_the_others_alone():
    y = simulated(3, seed=8)
    y[:, 1] = 5.0 + TREATMENT
    fit = reml(y, DESIGN, person=PERSON, cell=PERIOD, contrasts=MAIN)
    assert np.isnan(fit.tests.p[0, 1]) and np.isfinite(fit.tests.p[0, [0, 2]]).all()


def test_scale_and_offset_do_not_matter():
    y = simulated(5, seed=9)
    shared = {"person": PERSON, "cell": PERIOD, "contrasts": MAIN}
    one, other = reml(y, DESIGN, **shared), reml(1e4 + 1e-3 * y, DESIGN, **shared)
    assert other.tests.t == pytest.approx(one.tests.t, rel=1e-4)
    assert other.person == pytest.approx(1e-6 * one.person, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"y": np.full((128, 1), np.nan)}, "missing"),
        ({"x": np.ones((128, 2))}, "rank 1"),
        ({"person": np.arange(128)}, "one observation"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, found):
    given = {"y": simulated(1), "x": DESIGN, "person": PERSON, "contrasts": MAIN} | change
    with pytest.raises(StatisticsError, match=found):
        reml(given.pop("y"), given.pop("x"), **given)


def test_agrees_with_statsmodels():
    mixed = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    y = simulated(6, (1.0, 0.9, 1.0), seed=10)
    fit = reml(y, DESIGN, person=PERSON, cell=PERIOD, contrasts=MAIN)
    cells = [np.eye(2)[PERIOD[one == PERSON]] for one in range(N)]
    agreed = 0
    spec = mixed.VCSpec(["cell"], [[["0", "1"]] * N], [cells])
    for k in np.flatnonzero(~(fit.cell_boundary | fit.person_boundary)):
        model = mixed.MixedLM(
            y[:, k], DESIGN, groups=PERSON, exog_re=np.ones((len(y), 1)), exog_vc=spec
        )
        peer = model.fit(reml=True, method="lbfgs")
        assert fit.criterion[k] <= -2 * peer.llf + 1e-6
        if not peer.converged or -2 * peer.llf > fit.criterion[k] + 1e-4:
            continue  # it stops early
        agreed += 1
        assert peer.scale == pytest.approx(fit.residual[k], rel=1e-3)
        assert peer.fe_params[6] == pytest.approx(fit.tests.estimate[0, k], rel=1e-4)
    assert agreed >= 2
