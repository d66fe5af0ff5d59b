"""Names for the arrays that pass between the parts of petfmri."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]


class Frames(Protocol):
    """Frames of shape (x, y, z) that are counted, and read in order as often as needed."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[FloatArray]: ...
