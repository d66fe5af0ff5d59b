"""Finding files of another program's derivatives by what their names say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from petfmri.study.names import Name, parse_name

IGNORED = ("res", "den", "cohort", "hash")
MADE = (*IGNORED, "space", "from", "to", "mode", "desc", "label", "seg", "ref", "pvc")


class DerivativeFolder:
    """The results of one program, each folder listed once.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._listed: dict[Path, list[tuple[Path, Name]]] = {}

    def find(
        self,
        place: Path,
        suffix: str,
        extension: str,
        *,
        scan: Mapping[str, str] | None = None,
        **made: str,
    ) -> Path | None:
        """Find the one file of a kind.

        Parameters
        ----------
        place : Path
            Such as ``sub-01/ses-pre/func``, within the folder.
        suffix, extension : str
        scan : mapping, optional
            Entities of the raw scan that it was made of; None where any will do.
        **made : str
            The entities that processing added, all of them but `IGNORED` (of several
            resolutions the first is taken); ``from`` is written ``from_``.

        Returns
        -------
        Path or None
            None also where several raw scans fit.
        """
        wanted = {key.rstrip("_"): value for key, value in made.items()}
        fitting = [
            (path, scan_entities(name.entities))
            for path, name in self.names(place)
            if name.suffix == suffix
            and name.extension == extension
            and _only(name.entities, MADE) == wanted
        ]
        if scan is not None:
            own = scan_entities(scan, drop=(*MADE, "part", "echo"))
            fitting = [(path, entities) for path, entities in fitting if entities == own]
        if len({tuple(sorted(entities.items())) for _, entities in fitting}) != 1:
            return None
        return fitting[0][0]

    def find_first(
        self,
        place: Path,
        suffix: str,
        extension: str,
        choices: Iterable[Mapping[str, str]],
        *,
        scan: Mapping[str, str] | None = None,
    ) -> Path | None:
        """Find the first of several names for one thing, as versions of a program differ."""
        found = (self.find(place, suffix, extension, scan=scan, **made) for made in choices)
        return next((path for path in found if path is not None), None)

    def names(self, place: Path) -> list[tuple[Path, Name]]:
        """List the files of a folder whose names can be read."""
        folder = self.root / place
        if folder not in self._listed:
            named = [(path, parse_name(path.name)) for path in sorted(folder.glob("*_*"))]
            self._listed[folder] = [(path, name) for path, name in named if name is not None]
        return self._listed[folder]


def _only(entities: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    return {key: value for key, value in entities.items() if key in keys and key not in IGNORED}


def scan_entities(entities: Mapping[str, str], *, drop: Collection[str] = MADE) -> dict[str, str]:
    """Leave out what processing adds; run-01 is run-1.

    Examples
    --------
    >>> scan_entities({"sub": "01", "task": "rest", "run": "02", "desc": "preproc"})
    {'sub': '01', 'task': 'rest', 'run': '2'}
    """
    return {
        key: str(int(value)) if value.isdigit() and key == "run" else value
        for key, value in entities.items()
        if key not in drop
    }
