"""Maps, tables and notes of a localization as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from petfmri.localization.analysis import Results
from petfmri.localization.space import Space
from petfmri.study.adopted import TEMPLATE
from petfmri.study.files import save_image, write_json, write_table, write_text


def column(text: str, units: str = "") -> dict[str, str]:
    """Describe a column."""
    return {"Description": text, **({"Units": units} if units else {})}


COLUMNS = {
    "direction": column("increase, decrease, or unsigned where no file says it"),
    "contrast": column("Study, with contrast and direction where it has several"),
    "name": column("Contrast: study, with contrast and direction where it has several"),
    "study": column("Study; its contrasts leave together"),
    "contrasts": column("Contrasts of the direction, or those that left with the study"),
    "peaks": column("Peaks of the contrast"),
    "peaks_outside": column("Peaks whose sphere misses the mask; not used"),
    "peaks_nearest": column("Peaks whose sphere holds no voxel centre: the nearest voxel"),
    "seed_voxels": column("Voxels of the combined seed"),
    "t_threshold": column("Smallest t that is connected"),
    "share_connected": column("Share of places that are connected"),
    "file": column("File of the peak"),
    "row": column("Row in that file"),
    "space": column("Space of x, y, z"),
    "stated": column("Whether the file states the space"),
    "n": column("Sample size as given"),
    **{axis: column("As given", "mm") for axis in "xyz"},
    **{f"{axis}_mni": column("In MNI space", "mm") for axis in "xyz"},
    **{f"{axis}_mm": column("Peak of the cluster", "mm") for axis in "xyz"},
    "used": column("What became of the peak"),
    "cluster": column("Rank by size"),
    "voxels": column("Voxels of the thresholded map, of the part named by the row"),
    "volume_mm3": column("Volume of the cluster", "mm3"),
    "probability": column("Share of contrasts connected at the peak"),
    "region": column("Region of the atlas at the peak"),
    "network": column("Network of the atlas"),
    "share_of_map": column("Part of the map's voxels that lie in this network"),
    "network_voxels": column("Voxels of the network in the mask"),
    "share_of_network": column("Part of the network's voxels that are in the map"),
    "null_median": column("Median size of maps of random coordinates, voxels"),
    "null_low": column("2.5th percentile of the draws"),
    "null_high": column("97.5th percentile of the draws"),
    "null_mean": column("Mean over draws of random coordinates"),
    "p_size": column("Share of draws, the map included, with at least as many voxels"),
    "places": column("Voxels or parcels of the thresholded map"),
    "places_p05": column("Of these, with uncorrected p <= .05 against random coordinates"),
    "places_fwe": column("Places with family-wise p <= .05"),
    "least_p_fwe": column("Smallest family-wise p"),
    "draws": column("Draws of random coordinates"),
    "draw": column("Number of the draw"),
    "p_smallest": column("Smallest p that so many draws or arrangements allow"),
    "reference": column("Map of the connectome that the probability map is compared with"),
    "method": column("Kind of correlation"),
    "r": column("Correlation of the probability map with the reference"),
    "p": column("Two-sided, against random coordinates"),
    "dice": column("Overlap with the declared map, 0 to 1"),
    "share_kept": column("Share of the declared map's voxels that remain"),
    "radius_mm": column("Radius of the spheres", "mm"),
    "share": column("Least share of contrasts"),
    "declared": column("The declared choice"),
    "p_maps": column("Whether the maps of the two directions differ at all, labels permuted"),
    "arrangements": column("Arrangements of labels"),
    "exact": column("Whether these are all that there are"),
}


def write_results(
    found: Results, space: Space, folder: Path, *, about: Mapping[str, Any] | None = None
) -> None:
    """Write maps with sidecars, tables with descriptions, and the notes.

    Parameters
    ----------
    found : Results
    space : Space
    folder : Path
    about : mapping, optional
        For every sidecar of a map, and as prefix (``Prefix``) of every table's name.
    """
    told = dict(about or {})
    prefix = str(told.pop("Prefix", ""))
    for one in found.maps:
        place, _, name = one.name.rpartition("/")
        values = one.values.astype(np.uint8) if one.values.dtype == bool else one.values
        volume = np.full(space.mask.shape, one.outside, dtype=values.dtype)
        volume[space.mask] = np.nan_to_num(values)[space.element]
        stem = folder / place / f"space-{TEMPLATE}_{name}"
        save_image(nib.Nifti1Image(volume, space.affine), Path(f"{stem}.nii.gz"))
        content = {"Description": one.description, "ValueOutside": one.outside, **told}
        write_json(content, Path(f"{stem}.json"))
    for name, table in found.tables.items():
        if not table.empty:
            write_table(table, folder / f"{prefix}{name}.tsv", COLUMNS)
    write_text("\n".join(found.notes) + "\n", folder / "notes.txt")
