"""What a scanner's frames see of a plasma input convolved with exponentials: exact averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.errors import FrameError
from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.typing import FloatArray, IntArray

MAX_HELD_S = 300.0  # how long the last blood sample may stand for later activity
STEP_MIN = 1e-5  # an input that does not begin at 0 rises within this time
SERIES_BELOW = 1e-2


@dataclass(frozen=True, eq=False)
class FrameKernel:
    """An input function cut at its samples and at the edges of the frames.

    Between two cuts the input is a straight line. Its convolution with an exponential is then
    known exactly at every edge, and so is the average over every frame. Made by `frame_kernel`.

    Attributes
    ----------
    plasma, blood : array of shape (n_frames,), kBq/mL
        Frame averages of the parent in plasma and of whole blood (zero if it was not measured).
    plasma_area : array of shape (n_frames,), kBq·min/mL
        Frame averages of the area under the plasma curve so far.
    duration_min : array of shape (n_frames,), min
    begin, end : int array of shape (n_frames,)
        The edges, of n_edges, between which each frame lies.
    area : array of shape (n_edges,), kBq·min/mL
        Area under the plasma curve at each edge.
    width, left, right : array of shape (n_pieces,), min and kBq/mL
        The straight pieces and the activity at their two ends.
    to_edge : array of shape (n_pieces,), min
        From the end of a piece to the next edge.
    first : int array of shape (n_edges - 1,)
        First piece after each edge but the last.
    lag : array of shape (n_edges - 1, n_edges - 1), min
        From one edge (column) to a later one (row); infinite to an earlier one.
    """

    plasma: FloatArray
    blood: FloatArray
    plasma_area: FloatArray
    duration_min: FloatArray
    begin: IntArray
    end: IntArray
    area: FloatArray
    width: FloatArray
    left: FloatArray
    right: FloatArray
    to_edge: FloatArray
    first: IntArray
    lag: FloatArray

    def exponentials(self, rate_per_min: FloatArray) -> FloatArray:
        """Average the convolution of plasma with ``exp(-rate t)`` over every frame.

        Parameters
        ----------
        rate_per_min : array of any shape, 1/min
            Above zero.

        Returns
        -------
        array of shape (..., n_frames), kBq·min/mL
        """
        rate = np.asarray(rate_per_min, dtype=float)[..., None]
        early, late = _line_weights(rate * self.width)
        piece = self.width * (self.left * early + self.right * late)
        piece *= np.exp(-rate * self.to_edge)
        gained = np.add.reduceat(piece, self.first, axis=-1)
        tissue = (np.exp(-rate[..., None] * self.lag) @ gained[..., None])[..., 0]
        # As d tissue / dt = plasma - rate * tissue, the area under tissue is already known.
        area = np.zeros((*rate.shape[:-1], self.area.size))
        area[..., 1:] = (self.area[1:] - tissue) / rate
        return np.asarray((area[..., self.end] - area[..., self.begin]) / self.duration_min)


def frame_kernel(inputs: InputFunction, schedule: FrameSchedule) -> FrameKernel:
    """Cut an input function for the frames of one scan.

    Parameters
    ----------
    inputs : InputFunction
        Shifted by the delay, if there is one.
    schedule : FrameSchedule

    Raises
    ------
    FrameError
        If the last frame ends more than 5 min after the last blood sample.

    Examples
    --------
    >>> flat = InputFunction(np.array([0.0, 60, 120]), np.ones(3), np.ones(3))
    >>> kernel = frame_kernel(flat, FrameSchedule([0, 60], [60, 60]))
    >>> kernel.plasma_area, kernel.exponentials(np.array(1e-9)).round(6)
    (array([0.5, 1.5]), array([0.5, 1.5]))
    """
    _refuse_short_input(inputs, schedule)
    start, stop = schedule.start_s / 60, schedule.end_s / 60
    sampled = inputs.time_s / 60
    edges = np.unique(np.concatenate([[min(sampled[0], start[0])], start, stop]))
    nodes = np.concatenate([edges, sampled, [sampled[0] - STEP_MIN]])
    nodes = np.unique(nodes[(nodes >= edges[0]) & (nodes <= edges[-1])])
    place = np.searchsorted(nodes, edges)
    plasma = np.interp(nodes, sampled, inputs.aif_kbq_ml, left=0.0)
    width = np.diff(nodes)
    next_edge = edges[np.searchsorted(edges, nodes[1:])]
    lag = edges[1:, None] - edges[1:]
    area, double_area = _areas(width, plasma)
    begin, end = np.searchsorted(edges, start), np.searchsorted(edges, stop)

    def averages(integral: FloatArray) -> FloatArray:
        return (integral[place[end]] - integral[place[begin]]) / (stop - start)

    blood = np.zeros_like(plasma)
    if inputs.whole_blood_kbq_ml is not None:
        blood = np.interp(nodes, sampled, inputs.whole_blood_kbq_ml, left=0.0)
    return FrameKernel(
        plasma=averages(area),
        blood=averages(_areas(width, blood)[0]),
        plasma_area=averages(double_area),
        duration_min=stop - start,
        begin=begin,
        end=end,
        area=area[place],
        width=width,
        left=plasma[:-1],
        right=plasma[1:],
        to_edge=next_edge - nodes[1:],
        first=place[:-1],
        lag=np.where(lag >= 0, lag, np.inf),
    )


def _refuse_short_input(inputs: InputFunction, schedule: FrameSchedule) -> None:
    last, end = inputs.time_s[-1], schedule.end_s[-1]
    if end > last + MAX_HELD_S:
        raise FrameError(
            schedule.where,
            f"frames until {end / 60:.1f} min, blood until {last / 60:.1f} min",
            f"blood until the last frame ends, or at most {MAX_HELD_S / 60:g} min less",
            "leave out the later frames, or add the missing samples",
        )


def _line_weights(growth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of both ends of a straight piece that decays by ``exp(-growth)`` meanwhile.

    They are the integrals over u from 0 to 1 of ``(1 - u)`` and of ``u``, times
    ``exp(-growth (1 - u))``.
    """
    small = growth < SERIES_BELOW
    z = np.where(small, 1.0, growth)
    decay = np.exp(-z)
    early = (1 - (1 + z) * decay) / z**2
    late = (z - 1 + decay) / z**2
    if small.any():
        z = growth[small]
        early[small] = 1 / 2 + z * (-1 / 3 + z * (1 / 8 - z / 30))
        late[small] = 1 / 2 + z * (-1 / 6 + z * (1 / 24 - z / 120))
    return early, late


def _areas(width: FloatArray, curve: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Area under a curve of straight pieces up to every node, and the area under that."""
    left, right = curve[:-1], curve[1:]
    area = np.concatenate([[0.0], np.cumsum(width * (left + right) / 2)])
    pieces = area[:-1] * width + width**2 * (2 * left + right) / 6
    return area, np.concatenate([[0.0], np.cumsum(pieces)])
