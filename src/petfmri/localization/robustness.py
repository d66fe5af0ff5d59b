"""Does the network hang on one study, or on the radius and threshold that were declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from petfmri.localization.null import Rule
from petfmri.localization.overlap import NetworkMap, dice, network_map
from petfmri.localization.space import Space
from petfmri.typing import BoolArray


def leave_one_study_out(
    masks: BoolArray, studies: Sequence[str], space: Space, rule: Rule
) -> pd.DataFrame:
    """Map again without each study.

    Parameters
    ----------
    masks : bool array of shape (n_contrasts, n_elements)
    studies : sequence of str
        The study of each contrast: all its contrasts leave together.
    space, rule
        As for the full map.

    Returns
    -------
    DataFrame
        A row per study: ``study``, ``contrasts`` that left, ``voxels`` of the map without them,
        ``dice`` with the full map, and ``share_kept`` of the full map's voxels. Empty with one
        study.
    """
    full = mapped(masks, space, rule)
    rows = []
    for study in dict.fromkeys(studies) if len(set(studies)) > 1 else ():
        rest = np.array([name != study for name in studies])
        inside = mapped(masks[rest], space, rule).inside
        whole = int(space.sizes[full.inside].sum())
        both = int(space.sizes[inside & full.inside].sum())
        rows.append(
            {
                "study": study,
                "contrasts": int((~rest).sum()),
                "voxels": int(space.sizes[inside].sum()),
                "dice": dice(inside, full.inside, space),
                "share_kept": both / whole if whole else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["study", "contrasts", "voxels", "dice", "share_kept"])


def radius_by_share(
    masks: Mapping[float, BoolArray], space: Space, rule: Rule, shares: Sequence[float]
) -> pd.DataFrame:
    """Map with other radii and shares of contrasts.

    Parameters
    ----------
    masks : mapping of radius in mm to bool array of shape (n_contrasts, n_elements)
        With that of the declared rule.
    space, rule
        As for the declared map.
    shares : sequence of float

    Returns
    -------
    DataFrame
        ``radius_mm``, ``share``, ``voxels``, ``dice`` with the declared map, and ``declared``.
    """
    declared = mapped(masks[rule.radius_mm], space, rule).inside
    rows = []
    for radius, own in sorted(masks.items()):
        for share in sorted({*shares, rule.share}):
            inside = network_map(own, space, share=share, min_voxels=rule.min_voxels).inside
            rows.append(
                {
                    "radius_mm": radius,
                    "share": share,
                    "voxels": int(space.sizes[inside].sum()),
                    "dice": dice(inside, declared, space),
                    "declared": radius == rule.radius_mm and share == rule.share,
                }
            )
    return pd.DataFrame(rows)


def mapped(masks: BoolArray, space: Space, rule: Rule) -> NetworkMap:
    """`network_map` by the rule."""
    return network_map(masks, space, share=rule.share, min_voxels=rule.min_voxels)
