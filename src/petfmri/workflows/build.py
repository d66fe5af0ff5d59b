"""Small words for building workflows: a node, a set of edges, a delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype import Merge, Node, Workflow

from petfmri.interfaces.deliver import Deliver
from petfmri.workflows.memory import PROCESS_GB

Source = tuple[Node, str]


def add(
    workflow: Workflow, name: str, interface: Any, *, mem_gb: float = PROCESS_GB, **inputs: Any
) -> Node:
    """Add a node; an input given as (node, output) becomes an edge, any other value is set.

    An input given as a list of (node, output) is gathered in their order; None is left unset.
    """
    node = Node(interface, name=name, mem_gb=mem_gb)
    workflow.add_nodes([node])
    for field, value in inputs.items():
        if value is None:
            continue
        if _is_source(value):
            workflow.connect(value[0], value[1], node, field)
        elif isinstance(value, list) and value and all(map(_is_source, value)):
            workflow.connect(gather(workflow, f"{name}_{field}", value), "out", node, field)
        else:
            setattr(node.inputs, field, str(value) if isinstance(value, Path) else value)
    return node


def gather(workflow: Workflow, name: str, sources: Sequence[Source]) -> Node:
    """Collect several outputs into one list."""
    merge = Node(Merge(len(sources)), name=name, run_without_submitting=True)
    for number, (node, output) in enumerate(sources, 1):
        workflow.connect(node, output, merge, f"in{number}")
    return merge


def deliver(
    workflow: Workflow,
    name: str,
    files: Mapping[Path, Source],
    sidecars: Mapping[Path, Any] | None = None,
) -> Node:
    """Write outputs under their final names; done anew in every run, so that none goes missing."""
    node = add(
        workflow,
        name,
        Deliver(),
        in_files=list(files.values()),
        targets=[str(path) for path in files],
        sidecars={str(path): content for path, content in (sidecars or {}).items()},
    )
    node.overwrite = True
    return node


def _is_source(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Node)
