"""Steps of network localization: one person into the store, random draws, and the group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from petfmri.bold.denoise import Cleaning
from petfmri.interfaces.base import Step, StepInputSpec, load_labels
from petfmri.localization.analysis import analyse, draw
from petfmri.localization.contrasts import read_peaks
from petfmri.localization.null import RandomNull, Rule, load_null, save_null
from petfmri.localization.output_files import write_results
from petfmri.localization.outputs import Regions
from petfmri.localization.people import Reading, person_runs
from petfmri.localization.space import load_space
from petfmri.localization.store import Store
from petfmri.study.files import read_table, write_json
from petfmri.study.run_inputs import RunInput


class StorePersonInputSpec(StepInputSpec):
    # Series are plain texts: as files, Nipype would read them once more for their hash.
    series = traits.List(traits.Str, mandatory=True, desc="one per run")
    confounds = traits.List(traits.Str, mandatory=True, desc="one per run, empty if clean")
    tr_s = traits.List(traits.Float, mandatory=True, desc="one per run, 0 if not known")
    source = traits.Str(mandatory=True, desc="digest of these files and of how they are cleaned")
    space = File(exists=True, mandatory=True)
    cleaning = traits.Dict(mandatory=True, desc="as dataclasses.asdict gives a Cleaning")
    dummy = traits.Int(-1, usedefault=True, desc="leading volumes to drop; -1: as marked")
    parcels = traits.List(traits.Str, desc="names of the space's parcels")
    key = traits.Str(desc="variable of .mat files")
    person = traits.Str(mandatory=True, desc="name in the store")
    store = traits.Str(mandatory=True, desc="folder")


class StorePersonOutputSpec(TraitedSpec):
    record = File(desc="runs used and excluded")


class StorePerson(Step):
    """Read, clean and normalise the runs of one person, once and for all coordinates."""

    input_spec = StorePersonInputSpec
    output_spec = StorePersonOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        given = self.inputs
        runs = [
            RunInput(given.person, "", None, Path(path), Path(table) if table else None, tr_s or None, not table)
            for path, table, tr_s in zip(given.series, given.confounds, given.tr_s, strict=True)
        ]  # fmt: skip
        space = load_space(given.space)
        reading = Reading(
            Cleaning.of(given.cleaning),
            None if given.dummy < 0 else given.dummy,
            given.parcels or (),
            given.key or None,
        )
        usable, excluded = person_runs(runs, space, reading)
        store = Store(Path(given.store), space)
        if usable:
            store.write(given.person, usable, source=given.source, tr_s=given.tr_s[0] or None)
        record = {"used": len(usable), "excluded": excluded, "source": given.source}
        return {"record": write_json(record, folder / "record.json")}


class OfStoreInputSpec(StepInputSpec):
    peaks = File(exists=True, mandatory=True, desc="table of peaks in MNI space")
    space = File(exists=True, mandatory=True)
    store = traits.Str(mandatory=True, desc="folder")
    names = traits.List(traits.Str, mandatory=True, desc="of the people")
    state = traits.Str(mandatory=True, desc="digest of everybody's sources")
    rule = traits.Dict(mandatory=True, desc="as dataclasses.asdict gives a Rule")
    seed = traits.Int(mandatory=True)


class DrawNullInputSpec(OfStoreInputSpec):
    direction = traits.Str(mandatory=True)
    first = traits.Int(mandatory=True, desc="number of the first draw")
    draws = traits.Int(mandatory=True)


class DrawNullOutputSpec(TraitedSpec):
    null = File(desc="counts and sizes of these draws")


class _OfStore(Step):
    def _people(self) -> Store:
        return Store(
            Path(self.inputs.store), load_space(self.inputs.space), tuple(self.inputs.names)
        )


class DrawNull(_OfStore):
    """Repeat the analysis with random coordinates, some of all draws."""

    input_spec = DrawNullInputSpec
    output_spec = DrawNullOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        given, people = self.inputs, self._people()
        null = draw(
            people,
            read_peaks(given.peaks),
            people.space,
            Rule(**given.rule),
            direction=given.direction,
            first=given.first,
            draws=given.draws,
            seed=given.seed,
        )
        return {"null": save_null(null, folder / "null.npz")}


class LocalizeInputSpec(OfStoreInputSpec):
    nulls = InputMultiObject(File(exists=True), mandatory=True, desc="parts of all directions")
    of = traits.List(traits.Str, mandatory=True, desc="direction of each part")
    labels = File(exists=True, mandatory=True, desc="atlas labels on the grid")
    regions = File(exists=True, mandatory=True, desc="the atlas table")
    radii_mm = traits.List(traits.Float, mandatory=True)
    shares = traits.List(traits.Float, mandatory=True)
    permutations = traits.Int(mandatory=True)
    about = traits.Dict(desc="for every sidecar")


class LocalizeOutputSpec(TraitedSpec):
    folder = traits.Str(desc="maps, tables and notes")


class Localize(_OfStore):
    """Map the networks of all contrasts, and judge how specific they are."""

    input_spec = LocalizeInputSpec
    output_spec = LocalizeOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        given, people = self.inputs, self._people()
        parts: dict[str, list[RandomNull]] = {}
        for direction, path in zip(given.of, given.nulls, strict=True):
            parts.setdefault(direction, []).append(load_null(Path(path)))
        found = analyse(
            people,
            read_peaks(given.peaks),
            people.space,
            Rule(**given.rule),
            Regions(
                people.space.labels_of(load_labels(given.labels)),
                read_table(Path(given.regions), ["index", "name", "network", "structure"]),
            ),
            nulls={name: RandomNull.join(own) for name, own in parts.items()},
            radii_mm=given.radii_mm,
            shares=given.shares,
            permutations=given.permutations,
            seed=given.seed,
        )
        target = folder / "results"
        write_results(found, people.space, target, about=given.about or {})
        return {"folder": target}
