"""Graph measures of bctpy, in an environment of its own: `networks_bctpy_peer.py IN.npz OUT.npz`.

IN holds pairs of arrays: w0, w1, ... of shape (n, n), symmetric with signed weights and 0 on the
diagonal, and c0, c1, ... of shape (n,), the community of each node from 1.
"""

from __future__ import annotations

import sys

import bct
import numpy as np


def main(source: str, target: str) -> None:
    given = np.load(source)
    results = {}
    for k in range(len(given.files) // 2):
        weights, communities = given[f"w{k}"], given[f"c{k}"]
        positive, negative = bct.participation_coef_sign(weights, communities)
        results[f"participation{k}"] = positive
        results[f"participation_negative{k}"] = negative
        results[f"strength{k}"] = bct.strengths_und_sign(weights)[0]
        results[f"total{k}"] = bct.strengths_und(weights)
        results[f"eigenvector_centrality{k}"] = bct.eigenvector_centrality_und(
            np.maximum(weights, 0)
        )
    np.savez(target, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
