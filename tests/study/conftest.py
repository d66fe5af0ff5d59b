"""A small complete dataset on disk, and ways to break it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

DURATIONS = [60] * 5 + [300] * 5 + [600] * 6
PET_FIELDS = {
    "TracerName": "UCB-J",
    "TracerRadionuclide": "C11",
    "InjectedRadioactivity": 370.0,
    "InjectedRadioactivityUnits": "MBq",
    "BodyWeight": 75.0,
    "FrameTimesStart": [0, *np.cumsum(DURATIONS)[:-1].tolist()],
    "FrameDuration": DURATIONS,
    "TimeZero": "10:00:00",
    "ScanStart": 0,
    "InjectionStart": 0,
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
    "Units": "Bq/mL",
}


class Dataset:
    """Writes a BIDS folder of 144 × 168 × 144 mm images with 12 mm voxels."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sessions = {"pre": "pre", "post": "post"}
        self.rng = np.random.default_rng()

    def build(self, people: tuple[str, ...] = ("01", "02")) -> None:
        self.json("dataset_description.json", {"Name": "test", "BIDSVersion": "1.10.0"})
        self.table(
            "participants.tsv",
            "participant_id age sex weight",
            *(f"sub-{label} 30 F 75" for label in people),
        )
        self.table(
            "phenotype/madrs.tsv",
            "participant_id session_id madrs",
            *(
                f"sub-{label} ses-{ses} {score}"
                for label in people
                for ses, score in (("pre", 30), ("post", 12))
            ),
        )
        self.json("task-rest_bold.json", {"RepetitionTime": 2.0, "TaskName": "rest"})
        for label in people:
            self.person(label)

    def person(self, label: str) -> None:
        self.table(
            f"sub-{label}/sub-{label}_sessions.tsv",
            "session_id acq_time dose_mg_kg arm days_since_dose",
            "ses-pre n/a 0 ketamine n/a",
            "ses-post n/a 0.5 ketamine 1",
        )
        self.image(f"sub-{label}/ses-pre/anat/sub-{label}_ses-pre_T1w.nii.gz", ())
        for ses in ("pre", "post"):
            self.image(self.pet(label, ses), (len(DURATIONS),), scale=1e4)
            self.json(self.pet(label, ses, "json"), PET_FIELDS)
            self.image(self.bold(label, ses), (20,), frame_s=2.0)

    @staticmethod
    def pet(label: str = "01", ses: str = "pre", extension: str = "nii.gz") -> str:
        return f"sub-{label}/ses-{ses}/pet/sub-{label}_ses-{ses}_trc-UCBJ_pet.{extension}"

    @staticmethod
    def bold(label: str = "01", ses: str = "pre", run: str = "") -> str:
        return f"sub-{label}/ses-{ses}/func/sub-{label}_ses-{ses}_task-rest{run}_bold.nii.gz"

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def json(self, name: str, content: dict) -> Path:
        self.path(name).write_text(json.dumps(content))
        return self.root / name

    def table(self, name: str, *rows: str, ends: str = "\n") -> Path:
        text = "".join(row.replace(" ", "\t") + ends for row in rows)
        self.path(name).write_text(text, newline="")
        return self.root / name

    def image(
        self, name, frames, *, scale=100.0, frame_s=0.0, shape=(12, 14, 12), edit=None
    ) -> Path:
        data = self.rng.random((*shape, *frames)).astype(np.float32) * scale
        if edit is not None:
            edit(data)
        image = nib.Nifti1Image(data, np.diag([12.0, 12, 12, 1]))
        image.header.set_xyzt_units("mm", "sec")
        if frames:
            image.header["pixdim"][4] = frame_s
        nib.save(image, self.path(name))
        return self.root / name

    def change(self, name: str, **fields: object) -> None:
        """Change fields of a sidecar; ``...`` removes one."""
        content = json.loads((self.root / name).read_text()) | fields
        self.json(name, {key: value for key, value in content.items() if value is not ...})


@pytest.fixture(scope="session")
def _clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean") / "bids"
    Dataset(root).build()
    return root


@pytest.fixture
def dataset(_clean: Path, tmp_path: Path) -> Dataset:
    return Dataset(Path(shutil.copytree(_clean, tmp_path / "bids")))
