"""Draw the brain and the white matter found in Colin27: `python tools/colin27_picture.py HEAD`.

HEAD is `colin27_ch2.nii.gz` (not part of this repository). Writes docs/images/colin27_brain.webp.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

from petfmri.atlases import load_template
from petfmri.images.bias import correct_bias
from petfmri.images.brain import extract_brain
from petfmri.images.registration import Greedy
from petfmri.images.tissues import carry_tissues, segment_tissues
from petfmri.interfaces.anat import QUICK

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "colin27_brain.webp"


def main(path: str) -> None:
    template, raw = load_template(), nib.load(path)
    brain = extract_brain(raw, template, Greedy(iterations=QUICK))
    t1w = correct_bias(raw, brain.mask)
    priors = carry_tissues(template, brain.xfm, brain.mask)
    tissues = segment_tissues(t1w, brain.mask, priors)
    head = np.asarray(raw.dataobj, dtype=float)
    layers = (
        (np.asarray(brain.mask.dataobj), "#ff4d4d", "brain"),
        (np.asarray(tissues.wm.dataobj), "#33d1ff", "white matter"),
    )
    middle = np.argwhere(layers[0][0]).mean(axis=0).astype(int)
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.5), facecolor="black")
    for axis, panel in enumerate(axes):
        at = middle[axis] + (18 if axis == 0 else 0)  # beside the midline
        panel.imshow(np.take(head, at, axis).T, origin="lower", cmap="gray", vmax=170)
        for values, color, _ in layers:
            edges = np.take(values, at, axis).T
            panel.contour(edges, [0.5], colors=color, linewidths=0.7)
        panel.axis("off")
    for number, (_, color, name) in enumerate(layers):
        figure.text(0.02 + 0.1 * number, 0.02, name, color=color, fontsize=9)
    figure.subplots_adjust(0, 0.06, 1, 1, 0.01)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main(sys.argv[1])
