"""One participant: anatomy once, PET and BOLD of every session, and their join."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nipype import Workflow

from petfmri.study.adopted import AdoptedAnat
from petfmri.workflows.anatomical import AnatomicalBranch
from petfmri.workflows.bold import BoldBranch
from petfmri.workflows.pet import PetBranch
from petfmri.workflows.quality import QualityBranch
from petfmri.workflows.steps import AlignedRun, word
from petfmri.workflows.values import SessionScans, Settings


def participant_workflow(
    participant: str,
    *,
    t1w: Path,
    sessions: Sequence[SessionScans],
    output: Path,
    settings: Settings,
    lesions: Sequence[Path] = (),
    adopted: AdoptedAnat | None = None,
    further_t1w: Sequence[Path] = (),
) -> Workflow:
    """Build the workflow of one participant.

    Parameters
    ----------
    participant : str
        With prefix.
    t1w : Path
        The anatomy that serves every session.
    sessions : sequence of SessionScans
    output : Path
        The derivatives folder.
    settings : Settings
    lesions : sequence of Path
        Masks on the T1w grid from which the reference region keeps away.
    adopted : AdoptedAnat, optional
        What of the anatomy another program has made already; that of a scan is with the scan.
    further_t1w : sequence of Path
        Of the same person: with `t1w` they make one anatomy half way between all of them.

    Returns
    -------
    nipype.Workflow
        Named like the participant, with ``_`` for ``-``. Each branch ends in a delivery of its
        own, so that what fails in one leaves the results of the others.
    """
    workflow = Workflow(name=participant.replace("-", "_"))
    kept = adopted or AdoptedAnat()
    builder = _Builder(workflow, output, participant, settings, kept.t1w or t1w)
    builder.build([t1w, *further_t1w], sessions, lesions, kept)
    return workflow


class _Builder(AnatomicalBranch, PetBranch, BoldBranch, QualityBranch):
    """Adds the steps of one participant to a workflow."""

    def build(
        self,
        t1w: Sequence[Path],
        sessions: Sequence[SessionScans],
        lesions: Sequence[Path],
        adopted: AdoptedAnat,
    ) -> None:
        """Add every step that nobody has done yet."""
        self.anatomy = self._anatomical(t1w, lesions, adopted)
        self._anat_quality()
        scanned: list[tuple[SessionScans, list[AlignedRun]]] = []
        for session in sessions:
            runs = [self._bold_run(session.id, n, run) for n, run in enumerate(session.runs, 1)]
            for number, (made, run) in enumerate(zip(runs, session.runs, strict=True), 1):
                target = self.names.func(session.id, "metrics", ".tsv", run=run.run, desc="quality")
                name = f"{word(session.id)}_run_{number}_bold"
                self._alignment_quality(name, made, target, (made.regional, "scores"))
            if runs:
                self._clean(session, runs)
                scanned.append((session, runs))
            if session.pet is not None:
                quantified = self._pet(session, session.pet)
                target = self.names.pet(session.id, "metrics", ".tsv", desc="quality")
                self._alignment_quality(f"{word(session.id)}_pet", quantified, target)
                if runs:
                    self._join(session, session.pet, quantified, runs[0])
        if scanned:
            self._connectivity(*zip(*scanned, strict=True))
