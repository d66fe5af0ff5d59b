"""The first gradients of the normative connectome, to compare networks with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse

from petfmri.localization.seeds import Person, seed_courses, seed_matrix
from petfmri.networks.gradients import gradients
from petfmri.networks.seed_map import LARGEST_R
from petfmri.typing import FloatArray, IntArray


def parcel_connectivity(people: Iterable[Person], parcels: IntArray, n_parcels: int) -> FloatArray:
    """Mean Fisher z between parcels.

    Parameters
    ----------
    people : iterable of Person
    parcels : int array of shape (n_elements,)
        Number of each element's parcel from 0; -1 is none.
    n_parcels : int

    Returns
    -------
    array of shape (n_parcels, n_parcels)
        NaN for parcels without a signal in somebody; the diagonal is 0.

    Examples
    --------
    >>> from petfmri.localization.seeds import unit_run
    >>> series = np.array([[1.0, 1, -1], [2, 3, 0], [0, 1, 2], [3, 2, 0]])
    >>> parcel_connectivity([Person("a", [unit_run(series)])], np.array([0, 0, 1]), 2).round(2)
    array([[ 0.  , -0.44],
           [-0.44,  0.  ]])
    """
    inside = np.flatnonzero(parcels >= 0)
    ones = sparse.csr_array(
        (np.ones(inside.size), (parcels[inside], inside)), shape=(n_parcels, parcels.size)
    )
    weights = seed_matrix(ones)
    total, count = np.zeros((n_parcels, n_parcels)), 0
    for person in people:
        frames = sum(map(len, person.runs))
        for run in person.runs:
            courses = seed_courses(run, weights).astype(float)
            courses[(courses == 0).all(axis=1)] = np.nan
            r = np.clip(courses @ courses.T, -LARGEST_R, LARGEST_R)
            total += np.arctanh(r) * (len(run) / frames)
        count += 1
    mean = total / max(count, 1)
    lost = np.isnan(np.diag(mean))
    mean[np.diag_indices(n_parcels)] = np.where(lost, np.nan, 0.0)
    return mean


def connectome_gradients(
    people: Iterable[Person], parcels: IntArray, n_parcels: int, *, n_components: int = 2
) -> FloatArray:
    """Lay the first gradients of the mean parcel connectome over the elements.

    Parameters
    ----------
    people, parcels, n_parcels
        See `parcel_connectivity`. Parcels of the cortex only: others would span axes of their own.
    n_components : int

    Returns
    -------
    array of shape (n_components, n_elements)
        NaN outside the parcels. The sign of each is arbitrary.

    Raises
    ------
    DatasetError
        As `petfmri.networks.gradients.gradients`.

    References
    ----------
    Margulies DS et al. 2016, PNAS 113:12574. doi:10.1073/pnas.1608282113
    """
    mean = parcel_connectivity(people, parcels, n_parcels)
    values = gradients(mean, n_components).values
    laid = np.full((n_components, parcels.size), np.nan)
    inside = parcels >= 0
    laid[:, inside] = values[parcels[inside]].T
    return laid
