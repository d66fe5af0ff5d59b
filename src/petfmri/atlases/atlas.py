"""Regions with names, networks and sides: the embedded atlas, or an image and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.atlases.template import DATA, SPACE, as_image, read_embedded
from petfmri.atlases.userfiles import read_labels, read_region_table, unmatched
from petfmri.errors import ConfigError, DatasetError

EMBEDDED = ("Schaefer200",)


@dataclass(frozen=True)
class Atlas:
    """A label image and the table that names its labels.

    Attributes
    ----------
    name : str
        As it appears in file names (``seg-<name>``).
    image : Nifti1Image of integers
        0 is background.
    table : DataFrame
        One row per region: index (the label), name, network, hemisphere (L, R or B for both or
        midline), structure (cortex, subcortex or cerebellum).
    """

    name: str
    image: nib.Nifti1Image
    table: pd.DataFrame

    def centres_mm(self) -> pd.DataFrame:
        """Centre of mass of every region: x y z in mm, indexed by name."""
        labels = np.asanyarray(self.image.dataobj)
        where = np.nonzero(labels)
        found = labels[where].astype(int)
        count = np.bincount(found, minlength=int(self.table["index"].max()) + 1)
        sums = np.column_stack([np.bincount(found, axis, minlength=len(count)) for axis in where])
        voxels = sums[self.table["index"]] / np.maximum(count[self.table["index"]], 1)[:, None]
        places = nib.affines.apply_affine(self.image.affine, voxels)
        return pd.DataFrame(places, index=list(self.table["name"]), columns=["x", "y", "z"])


def load_atlas(name_or_path: str | Path = "Schaefer200", table: str | Path | None = None) -> Atlas:
    """Load the embedded atlas by name, or a user's own from its files.

    Parameters
    ----------
    name_or_path : str or Path
        ``"Schaefer200"``: 200 cortical parcels in seven networks (1 mm, labels 1-200),
        14 subcortical regions and left and right cerebellar grey matter, in
        MNI152NLin2009cAsym. Otherwise a NIfTI label image in that space.
    table : str or Path, optional
        The user's TSV with the columns of `Atlas.table`; default: beside the image, same name,
        ending in ``.tsv``.

    Raises
    ------
    ConfigError
        If the name is neither embedded nor an existing file.
    DatasetError
        With everything that is wrong with the user's image and table.

    References
    ----------
    Schaefer et al. (2018), Local-global parcellation of the human cerebral cortex, Cereb Cortex
    28:3095-3114. Yeo et al. (2011), J Neurophysiol 106:1125-1165 (networks). Desikan et al.
    (2006), NeuroImage 31:968-980 (subcortex).

    Examples
    --------
    >>> atlas = load_atlas()
    >>> atlas.table.loc[95]
    index                                 96
    name         7Networks_LH_Default_pCunPCC_1
    network                          Default
    hemisphere                             L
    structure                         cortex
    Name: 95, dtype: object
    """
    if str(name_or_path) in EMBEDDED and table is None:
        name = str(name_or_path)
        return Atlas(name, as_image(*read_embedded(f"atlas-{name}_dseg")), _embedded_table(name))
    path = Path(name_or_path)
    if not path.is_file():
        raise _unknown(str(name_or_path))
    return _load_own(path, None if table is None else Path(table))


def _load_own(path: Path, table_path: Path | None) -> Atlas:
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    table_path = table_path or path.with_name(f"{name}.tsv")
    image, problems = read_labels(path)
    table, table_problems = read_region_table(table_path)
    problems += table_problems
    if image is not None and table is not None:
        problems += unmatched(image, table, path, table_path)
    if problems or image is None or table is None:
        raise DatasetError.of(problems)
    return Atlas(name, image, table)


def _unknown(name: str) -> ConfigError:
    near = get_close_matches(name, EMBEDDED, n=1, cutoff=0.4)
    return ConfigError(
        "atlas",
        f"{name!r}, which is neither embedded nor a file",
        f"{' or '.join(EMBEDDED)}, or the path of a label image",
        f"if you mean {near[0]}, write that" if near else "correct the path",
    )


def _embedded_table(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"tpl-{SPACE}_atlas-{name}_dseg.tsv", sep="\t")


def select_regions(table: pd.DataFrame, patterns: Sequence[str]) -> list[str]:
    """Names of the regions that match any of the shell-style `patterns`, in table order.

    Case is ignored. A pattern may match nothing, so that one list serves several atlases, but
    together they must match something.

    Raises
    ------
    ConfigError
        If no region matches.

    Examples
    --------
    >>> select_regions(load_atlas().table, ["hippocampus*", "*posteriorcingulate*"])
    ['Hippocampus_L', 'Hippocampus_R']
    """
    lowered = [pattern.lower() for pattern in patterns]
    names = [str(name) for name in table["name"]]
    chosen = [name for name in names if any(fnmatchcase(name.lower(), p) for p in lowered)]
    if not chosen:
        near = get_close_matches(" ".join(patterns).replace("*", ""), names, n=3, cutoff=0.3)
        raise ConfigError(
            "regions",
            f"patterns {', '.join(patterns)} that match none of {len(names)} regions",
            "at least one match",
            f"names are like {', '.join(near or names[:3])}",
        )
    return chosen
