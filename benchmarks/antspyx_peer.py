"""Register with antspyx, in an environment of its own: `python antspyx_peer.py JOBS.json`.

JOBS holds a list of {kind, fixed, moving, points, out}. `kind` is a type of `ants.registration`
(Rigid, SyN, ...); where `moving` is 4-D, each of its volumes is registered. `points` is a .npy of
points of the fixed image, RAS mm, shape (n, 3). `out` is a .npz with `mapped`, where these points
lie in the moving image, shape (n_volumes, n, 3), and `wall_s` and `cpu_s` of each registration.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import ants
import numpy as np
import pandas as pd

LPS = np.array([-1.0, -1.0, 1.0])


def main(jobs: str) -> None:
    for job in json.loads(Path(jobs).read_text()):
        points = pd.DataFrame(np.load(job["points"]) * LPS, columns=["x", "y", "z"])
        fixed, moving = ants.image_read(job["fixed"]), ants.image_read(job["moving"])
        volumes = ants.ndimage_to_list(moving) if moving.dimension == 4 else [moving]
        mapped, wall_s, cpu_s = [], [], []
        for volume in volumes:
            wall, cpu = time.perf_counter(), time.process_time()
            found = ants.registration(fixed, volume, job["kind"], random_seed=1)
            wall_s.append(time.perf_counter() - wall)
            cpu_s.append(time.process_time() - cpu)
            there = ants.apply_transforms_to_points(3, points, found["fwdtransforms"])
            mapped.append(there[["x", "y", "z"]].to_numpy() * LPS)
        np.savez(job["out"], mapped=mapped, wall_s=wall_s, cpu_s=cpu_s)


if __name__ == "__main__":
    main(sys.argv[1])
