"""A person's own parcels: grey matter of FreeSurfer's aparc+aseg."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.atlases.atlas import Atlas
from petfmri.atlases.template import DATA
from petfmri.atlases.userfiles import read_labels
from petfmri.errors import DatasetError, Problem

TABLE = DATA / "freesurfer_aparcaseg.tsv"
WHITE_PARCELS = (3000, 4999)  # of wmparc: white matter below each cortical parcel


def read_aparc_aseg(path: str | Path) -> Atlas:
    """Read FreeSurfer's segmentation of a person and keep its grey matter.

    Cortex of the Desikan-Killiany atlas [1]_, subcortex and cerebellar cortex. White matter,
    ventricles, brain stem and ventral diencephalon (grey and white mixed) become background, as
    does cortex that FreeSurfer left without a name. Also takes aparc.DKTatlas+aseg, wmparc and
    gtmseg, which number grey matter alike.

    Parameters
    ----------
    path : str or Path
        Such as ``mri/aparc+aseg.mgz`` or fMRIPrep's ``desc-aparcaseg_dseg.nii.gz``.

    Returns
    -------
    Atlas
        On the grid of the file, named ``"aparcaseg"``. Its table has a row for each region that
        the image holds; network is empty (None).

    Raises
    ------
    DatasetError
        If the image cannot be read, has labels that FreeSurfer does not define for it (such as
        those of aparc.a2009s), or has no cortical parcel.

    References
    ----------
    .. [1] Desikan RS et al. NeuroImage 2006;31:968-980. doi:10.1016/j.neuroimage.2006.01.021

    Examples
    --------
    >>> import tempfile
    >>> labels = np.array([0, 2, 8, 1023, 2023], np.int32).reshape(5, 1, 1)
    >>> path = Path(tempfile.mkdtemp()) / "aparc+aseg.mgz"
    >>> nib.save(nib.MGHImage(labels, np.eye(4)), path)
    >>> read_aparc_aseg(path).table[["index", "name", "structure"]]
       index                       name   structure
    0      8     Left-Cerebellum-Cortex  cerebellum
    1   1023  ctx-lh-posteriorcingulate      cortex
    2   2023  ctx-rh-posteriorcingulate      cortex
    """
    path = Path(path)
    image, problems = read_labels(path)
    if image is None:
        raise DatasetError.of(problems)
    labels = np.asarray(image.dataobj)
    present = [int(label) for label in np.unique(labels) if label > 0]
    known = _known_labels()
    grey = known[known["structure"].notna()]
    table = grey[grey["index"].isin(present)].reset_index(drop=True)
    problem = _problem(path, present, known, table)
    if problem is not None:
        raise DatasetError.of([problem])
    kept = np.where(np.isin(labels, table["index"]), labels, 0).astype(np.int32)
    return Atlas("aparcaseg", nib.Nifti1Image(kept, image.affine), table)


def _known_labels() -> pd.DataFrame:
    """Every label of aparc+aseg and its kin; structure is missing for what is not grey matter."""
    table = pd.read_csv(TABLE, sep="\t", na_values="n/a")
    table.insert(2, "network", None)
    return table


def _problem(
    path: Path, present: list[int], known: pd.DataFrame, table: pd.DataFrame
) -> Problem | None:
    low, high = WHITE_PARCELS
    white = set(range(low, high + 1))
    unknown = sorted(set(present) - set(known["index"]) - white)
    if unknown:
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        return Problem(
            str(path),
            f"labels {', '.join(map(str, unknown[:8]))}{more}",
            "those of aparc+aseg (Desikan-Killiany)",
            "name aparc+aseg.mgz; aparc.a2009s+aseg and other parcellations need a table (atlas:)",
        )
    if "cortex" not in set(table["structure"]):
        return Problem(
            str(path),
            "no cortical parcel (1001-1035, 2001-2035)",
            "aparc+aseg",
            "name aparc+aseg.mgz, not aseg.mgz",
        )
    return None
