"""Is the network more than the connectome's hubs: similarity to degree and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata

from petfmri.localization.null import RandomNull
from petfmri.localization.overlap import NetworkMap
from petfmri.localization.seeds import Person, seed_courses, seed_matrix, z_blocks
from petfmri.typing import FloatArray


def connectome_degree(
    people: Iterable[Person], n_elements: int, *, targets: int = 1024
) -> FloatArray:
    """Mean positive connectivity of each element: weighted degree of the group's connectome.

    Parameters
    ----------
    people : iterable of Person
    n_elements : int
    targets : int
        Elements, evenly spread over the mask, whose connections are averaged; all if there are no
        more. Memory is 4 bytes per target and element.

    Returns
    -------
    array of shape (n_elements,)
        Mean over targets of max(z, 0), where z is the mean over people and the element itself is
        left out; NaN where nobody has a signal.

    Examples
    --------
    >>> from petfmri.localization.seeds import unit_run
    >>> series = np.array([[1.0, 1, -1], [2, 3, 0], [0, 1, 2], [3, 2, 0]])
    >>> connectome_degree([Person("a", [unit_run(series)])], 3).round(2)
    array([0.41, 0.41, 0.  ])
    """
    chosen = np.unique(np.linspace(0, n_elements - 1, min(targets, n_elements)).round().astype(int))
    shape = (chosen.size, n_elements)
    seeds = seed_matrix(
        sparse.csr_array((np.ones(chosen.size), (np.arange(chosen.size), chosen)), shape=shape)
    )
    total, count = np.zeros(shape, np.float32), np.zeros(n_elements, dtype=int)
    for person in people:
        for part, z in z_blocks(person, [seed_courses(run, seeds) for run in person.runs]):
            total[:, part] += z
        count += person.covered
    total[np.arange(chosen.size), chosen] = 0
    total = np.maximum(total, 0, out=total)
    # A target that some people lack has that much less weight.
    present = count[chosen] / max(1, count.max(initial=0))
    partners = present.sum() - np.bincount(chosen, present, n_elements)
    known = (count > 0) & (partners > 0)
    size = np.where(known, count * partners, 1)
    return np.where(known, total.sum(axis=0, dtype=float) / size, np.nan)


def similarity_table(
    result: NetworkMap, null: RandomNull, references: Mapping[str, FloatArray]
) -> pd.DataFrame:
    """Correlate the probability map with reference maps, and so those of random coordinates.

    Maps of random coordinates resemble the connectome's degree as well [1]_, so that a large
    correlation alone says nothing. p asks whether the map resembles the reference more, or less,
    than maps of random coordinates do.

    Parameters
    ----------
    result : NetworkMap
    null : RandomNull
    references : mapping of name to array of shape (n_elements,)
        Such as degree and the first gradients. NaN is left out.

    Returns
    -------
    DataFrame
        ``reference``, ``method`` (pearson or spearman), ``r``, ``null_mean``, ``null_low`` and
        ``null_high`` (95 % of draws), two-sided ``p``, ``draws``.

    References
    ----------
    .. [1] van den Heuvel MP et al. 2026, Nat Neurosci. doi:10.1038/s41593-025-02196-7
    """
    rows = []
    for name, reference in references.items():
        known = np.isfinite(reference)
        target = np.asarray(reference, dtype=float)[known]
        for method in ("pearson", "spearman"):
            maps = (one[known] for one in (result.probability, *null.counts))
            r = _correlations(maps, target, ranks=method == "spearman")
            draws = r[1:][np.isfinite(r[1:])]
            rows.append({"reference": name, "method": method, "r": r[0], **_against(r[0], draws)})
    return pd.DataFrame(rows)


def _against(r: float, draws: FloatArray) -> dict[str, float]:
    """Place a correlation among those of the draws."""
    low, high = np.percentile(draws, [2.5, 97.5]) if draws.size else (np.nan, np.nan)
    more, less = int((draws >= r).sum()), int((draws <= r).sum())
    p = min(1.0, 2 * (1 + min(more, less)) / (1 + draws.size)) if np.isfinite(r) else np.nan
    mean = float(draws.mean()) if draws.size else np.nan
    return {"null_mean": mean, "null_low": low, "null_high": high, "p": p, "draws": draws.size}


def _correlations(maps: Iterable[FloatArray], target: FloatArray, *, ranks: bool) -> FloatArray:
    """Pearson r of each map, or of its ranks, with the target; NaN for maps that do not vary."""
    target = rankdata(target) if ranks else target
    target = target - target.mean()
    found = []
    for one in maps:
        values = rankdata(one) if ranks else one.astype(float)
        values = values - values.mean()
        size = float(np.linalg.norm(values) * np.linalg.norm(target))
        found.append(float(values @ target) / size if size > 0 else np.nan)
    return np.array(found)
