"""What the branches of one participant's workflow share: nodes, names and what they hand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype import Node, Workflow

from petfmri.study.adopted import AdoptedFiles
from petfmri.study.layout import Names
from petfmri.workflows.build import Source, add, deliver
from petfmri.workflows.memory import PROCESS_GB, step_gb
from petfmri.workflows.values import Settings


@dataclass(frozen=True)
class Anatomy:
    """The nodes of the anatomical branch that the others read."""

    t1w: Node
    brain: Node
    tissues: Node
    template: Node
    atlas: Node
    reference: Node


@dataclass(frozen=True)
class Aligned:
    """The nodes of one scan: its motion, its place in the T1w, its regional values."""

    motion: Node
    xfm: Node
    regional: Node


@dataclass(frozen=True)
class AlignedRun(Aligned):
    """The nodes of one run: also those that know its confounds and its dummy volumes."""

    confounds: Node
    dummy: Node


@dataclass(frozen=True)
class AlignedScan(Aligned):
    """The nodes of one PET scan: also the frames that the join reads."""

    frames: Frames


@dataclass(frozen=True)
class Frames:
    """PET frames, what moves them and where they lie in the T1w.

    Attributes
    ----------
    path : Path
    motion : (node, output) or None
        None where another program has corrected it.
    xfm : (node, output)
    chain : str
        How the values came here, for sidecars.
    """

    path: Path
    motion: Source | None
    xfm: Source
    chain: str


class Steps:
    """Adds steps to the workflow of one participant."""

    anatomy: Anatomy

    def __init__(
        self, workflow: Workflow, output: Path, participant: str, settings: Settings, t1w: Path
    ) -> None:
        self.workflow, self.settings, self.t1w = workflow, settings, t1w
        self.names = Names(
            output, participant, settings.seg, settings.tracer, settings.reference, settings.task
        )

    def _add(self, name: str, interface: Any, **inputs: Any) -> Node:
        read = [inputs.get("in_file"), inputs.get("series")]
        images = {self.t1w, *(path for path in read if isinstance(path, Path))}
        mem_gb = PROCESS_GB if interface.reads_tables_only else step_gb(*images)
        return add(self.workflow, name, interface, mem_gb=mem_gb, **inputs)

    def _hand_on(self, name: str, interface: Any, files: AdoptedFiles, **inputs: Any) -> Node:
        """Add a step that hands on what another program made; it estimates nothing."""
        return self._add(name, interface, places=[str(path) for path in files.files], **inputs)

    def _deliver(
        self, name: str, files: Mapping[Path, Source], sidecars: Mapping[Path, Any] | None = None
    ) -> None:
        deliver(self.workflow, name, files, sidecars)


def word(label: str) -> str:
    """Turn a BIDS label into a node name."""
    return label.replace("-", "_")
