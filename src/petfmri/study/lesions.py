"""Lesion masks of a person, found by their BIDS names."""

from __future__ import annotations

from pathlib import Path

from petfmri.study.names import Name, parse_name

SUFFIXES = ("mask", "roi")
OF_THE_PERSON = (None, "T1w", "orig", "individual")  # spaces that may be the T1w's own


def lesion_masks(bids: Path, sub: str) -> tuple[Path, ...]:
    """Find the lesion masks of one person, in the dataset and in its ``derivatives`` folder.

    ``sub-01_label-lesion_mask.nii.gz``, or ``desc-`` for ``label-``, or ``_roi`` for ``_mask``, or
    the older ``sub-01_T1w_label-lesion_roi.nii.gz``; with or without a session.

    Parameters
    ----------
    bids : Path
        The dataset.
    sub : str
        With prefix.

    Returns
    -------
    tuple of Path
        Those in the space of the person. If a name puts every mask in another space, these: they
        are then refused, not passed over.

    Examples
    --------
    >>> import tempfile
    >>> bids = Path(tempfile.mkdtemp())
    >>> anat = bids / "sub-01/anat"
    >>> anat.mkdir(parents=True)
    >>> (anat / "sub-01_label-lesion_mask.nii.gz").touch()
    >>> [path.name for path in lesion_masks(bids, "sub-01")]
    ['sub-01_label-lesion_mask.nii.gz']
    """
    found = [
        (path, name)
        for people in (bids, *sorted((bids / "derivatives").glob("*")))
        for anat in (people / sub / "anat", *sorted((people / sub).glob("ses-*/anat")))
        for path in sorted(anat.glob("*lesion*.nii*"))
        if (name := parse_name(path.name.replace("_T1w_", "_"))) is not None and _is_lesion(name)
    ]
    own = [path for path, name in found if name.entities.get("space") in OF_THE_PERSON]
    return tuple(own or [path for path, _ in found])


def _is_lesion(name: Name) -> bool:
    said = {name.entities.get(entity, "").lower() for entity in ("label", "desc")}
    return name.suffix in SUFFIXES and "lesion" in said
