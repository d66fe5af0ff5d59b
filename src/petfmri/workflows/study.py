"""All participants side by side in one graph, so that the processors are never idle."""

from __future__ import annotations

from collections.abc import Iterable

from nipype import Workflow


def study_workflow(participants: Iterable[Workflow]) -> Workflow:
    """Put the workflows of participants, which share no edge, into one."""
    workflow = Workflow(name="petfmri")
    workflow.add_nodes(list(participants))
    return workflow
