from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.bold.censoring import Censoring
from petfmri.bold.denoise import Cleaning
from petfmri.errors import DatasetError
from petfmri.localization.gradients import connectome_gradients, parcel_connectivity
from petfmri.localization.group import positive
from petfmri.localization.people import Reading, person_runs, read_voxels
from petfmri.localization.seeds import Person, unit_run
from petfmri.localization.space import Space
from petfmri.study.normative import find_normative, find_normative_fmriprep
from petfmri.study.run_inputs import RunInput

CLEANING = Cleaning(
    strategy=["csf"], band_hz=(None, None), censoring=Censoring(0.5), minimum_kept_s=60, minimum_df=5
)  # fmt: skip


def save(space: Space, series: np.ndarray, path: Path, orientation: str = "RAS") -> Path:
    volume = np.zeros((*space.mask.shape, len(series)), dtype=np.float32)
    volume[space.mask] = series.T
    image = nib.Nifti1Image(volume, space.affine)
    turn = nib.orientations.axcodes2ornt(orientation)
    nib.save(image.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), turn)), path)  # fmt: skip
    return path


def run(path: Path, confounds: Path | None = None) -> RunInput:
    return RunInput("sub-01", "", None, path, confounds, 2.0, denoised=confounds is None)


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "PSR"])
def test_voxels_are_read_in_any_orientation(space, rng, tmp_path, orientation):
    series = rng.normal(1000, 10, (6, space.n_voxels)).astype(np.float32)
    path = save(space, series, tmp_path / "bold.nii.gz", orientation)
    assert np.array_equal(read_voxels(run(path), space), series)


def test_another_grid_is_interpolated_linearly(space, tmp_path):
    """A ramp in the world is the same ramp on an oblique, anisotropic grid."""
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.3) @ np.diag([2.0, 2.5, 2.2])
    affine = nib.affines.from_matvec(turn, -turn @ np.array([20.0, 20, 20]))
    ijk = np.indices((41, 41, 41)).reshape(3, -1).T
    ramp = (ijk @ turn.T + affine[:3, 3]) @ np.array([1.0, 2.0, -1.0])
    volume = np.stack([ramp, 500 - ramp], axis=1).reshape(41, 41, 41, 2)
    nib.save(nib.Nifti1Image((1000 + volume).astype(np.float32), affine), tmp_path / "bold.nii.gz")
    points = space.ijk @ space.affine[:3, :3].T + space.affine[:3, 3]
    expected = points @ np.array([1.0, 2.0, -1.0])
    found = read_voxels(run(tmp_path / "bold.nii.gz"), space)
    assert found == pytest.approx(np.stack([1000 + expected, 1500 - expected]), abs=1e-2)


def test_an_image_elsewhere_is_refused(space, tmp_path):
    image = nib.Nifti1Image(np.ones((4, 4, 4, 5), np.float32), np.diag([3.0, 3, 3, 1]))
    nib.save(image, tmp_path / "bold.nii.gz")
    with pytest.raises(DatasetError, match="MNI"):
        read_voxels(run(tmp_path / "bold.nii.gz"), space)


def test_people_without_signal_are_refused_and_those_with_gaps_left_out(space, rng, tmp_path):
    flat = np.full((6, space.n_voxels), 1000, dtype=np.float32)
    with pytest.raises(DatasetError, match="signal in 0%"):
        read_voxels(run(save(space, flat, tmp_path / "flat.nii.gz")), space)
    cut = rng.normal(1000, 10, (6, space.n_voxels)).astype(np.float32)
    cut[:, : int(0.3 * space.n_voxels)] = 0
    inputs = [run(save(space, cut, tmp_path / "cut.nii.gz"))]
    runs, excluded = person_runs(inputs, space, Reading(CLEANING))
    assert runs == [] and "signal in 70%" in excluded["cut.nii.gz"]


def test_cleaning_takes_out_confounds_and_censored_frames(space, rng, tmp_path):
    course, csf = rng.normal(size=(2, 80))
    series = 1000 + 5 * course[:, None] + 50 * csf[:, None] + 0.01 * rng.normal(size=(80, space.n_voxels))  # fmt: skip
    fd = np.full(80, 0.1)
    fd[10:15] = 2.0
    spoiled = series.copy()
    spoiled[10:15] += 1e4
    pd.DataFrame({"csf": csf, "framewise_displacement": fd}).to_csv(
        tmp_path / "c.tsv", sep="\t", index=False
    )
    reading = Reading(CLEANING)
    units = []
    for name, values in (("a", series), ("b", spoiled)):
        path = save(space, values.astype(np.float32), tmp_path / f"{name}.nii.gz")
        (made,), excluded = person_runs([run(path, tmp_path / "c.tsv")], space, reading)
        assert not excluded and len(made) == 75
        units.append(made.unit)
    kept = fd < 0.5
    residual = course[kept] - np.polyval(np.polyfit(csf[kept], course[kept], 1), csf[kept])
    r = np.corrcoef(units[0][:, 0], residual)[0, 1]
    assert r > 0.99
    assert np.array_equal(units[0], units[1])


def test_a_run_of_motion_is_left_out_and_listed(space, rng, tmp_path):
    series = rng.normal(1000, 10, (80, space.n_voxels)).astype(np.float32)
    for name, fd in (("still", 0.1), ("moved", 2.0)):
        save(space, series, tmp_path / f"{name}.nii.gz")
        table = {"csf": rng.normal(size=80), "framewise_displacement": fd}
        pd.DataFrame(table).to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    runs = [run(tmp_path / f"{name}.nii.gz", tmp_path / f"{name}.tsv") for name in ("still", "moved")]  # fmt: skip
    made, excluded = person_runs(runs, space, Reading(CLEANING))
    assert len(made) == 1 and list(excluded) == ["moved.nii.gz"]


def test_fmriprep_with_and_without_sessions(tmp_path):
    for stem in ("sub-01/func/sub-01_task-rest_run-1", "sub-01/func/sub-01_task-rest_run-2", "sub-02/ses-a/func/sub-02_ses-a_task-rest"):  # fmt: skip
        path = tmp_path / f"{stem}_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2, 4), np.float32), np.eye(4)), path)
        Path(str(path).replace(".nii.gz", ".json")).write_text('{"RepetitionTime": 2}')
        (tmp_path / f"{stem}_desc-confounds_timeseries.tsv").write_text("csf\n1\n")
    people = find_normative_fmriprep(tmp_path)
    assert {name: len(runs) for name, runs in people.items()} == {"sub-01": 2, "sub-02": 1}
    assert people["sub-02"][0].tr_s == 2
    (tmp_path / "sub-02/ses-a/func/sub-02_ses-a_task-rest_desc-confounds_timeseries.tsv").unlink()
    with pytest.raises(DatasetError, match="no confounds of this run"):
        find_normative_fmriprep(tmp_path)
    with pytest.raises(DatasetError, match="nearest name is sub-01_task-rest"):
        find_normative_fmriprep(tmp_path, "movie")


def test_patterns_need_a_subject_and_join_sessions(tmp_path):
    for name in ("sub-1_ses-a", "sub-1_ses-b", "sub-2_ses-a"):
        (tmp_path / f"{name}_ts.npy").touch()
    people = find_normative(str(tmp_path / "sub-{subject}_ses-{session}_ts.npy"))
    assert {name: len(runs) for name, runs in people.items()} == {"sub-1": 2, "sub-2": 1}
    with pytest.raises(DatasetError, match="one file per run"):
        find_normative(str(tmp_path / "sub-{subject}_ses-*_ts.npy"))


def test_parcel_connectivity_is_that_of_mean_signals(rng):
    series = rng.normal(size=(50, 5)) * [1, 2, 3, 1, 1]
    parcels = np.array([0, 0, 1, -1, 1])
    found = parcel_connectivity([Person("a", [unit_run(series)])], parcels, 3)
    r = np.corrcoef(series[:, :2].sum(axis=1), series[:, [2, 4]].sum(axis=1))[0, 1]
    assert found[0, 1] == pytest.approx(np.arctanh(r), abs=1e-5)
    assert np.isnan(found[2]).all()


def test_the_first_gradient_orders_a_chain(rng):
    """Parcels whose courses change gradually from one to the next lie in that order."""
    n = 30
    people = []
    for number in range(4):
        steps = rng.normal(size=(200, n + 8))
        smooth = np.stack([steps[:, k : k + 9].sum(axis=1) for k in range(n)], axis=1)
        people.append(Person(str(number), [unit_run(smooth)]))
    values = connectome_gradients(people, np.arange(n), n, n_components=1)[0]
    assert abs(np.corrcoef(np.argsort(np.argsort(values)), np.arange(n))[0, 1]) > 0.97


def test_no_correction_is_one_sided_p():
    t = np.array([[1.7, 1.75, -5.0, np.nan]])  # t of p = .05 at df 19: 1.729
    assert positive(t, np.full(4, 20), correction="none").tolist() == [[False, True, False, False]]
