"""`petfmri VERB STUDY.yaml`: the command line, which imports its work only when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from petfmri import __version__
from petfmri.errors import PetfmriError

VERBS = {
    "simulate": "write the study's BIDS folder with a known true answer",
    "check": "report every problem of configuration and dataset, and what `run` would do",
    "run": "process every participant: anatomy, PET, BOLD and their join",
    "quantify": "kinetic models, partial-volume correction and a multiverse, after run or on PETPrep",
    "networks": "connectivity and desynchronization, after run, on fMRIPrep, XCP-D or given series",
    "compare": "comparison of SV2A, networks and symptoms: pre/post, two arms, or a crossover",
    "power": "what this number of people can see, and how many a change needs",
    "localize": "the network that published coordinates share, and what random ones give",
    "predict": "cross-validated prediction of symptoms",
    "demo": "simulate, check, run, compare and predict a study of twelve, then open index.html",
}


def parser() -> argparse.ArgumentParser:
    """Build the parser: one grammar, `petfmri VERB STUDY.yaml`."""
    main_parser = argparse.ArgumentParser(
        prog="petfmri",
        description="From raw BIDS PET and fMRI, before and after a dose, to one honest answer.",
        epilog="Start with `petfmri demo`. Studies are described by one YAML; see configs/.",
    )
    main_parser.add_argument("--version", action="version", version=f"petfmri {__version__}")
    verbs = main_parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    added = {
        verb: verbs.add_parser(verb, help=text, description=text) for verb, text in VERBS.items()
    }
    for verb, sub in added.items():
        if verb == "demo":
            sub.add_argument("folder", type=Path, nargs="?", default=Path("petfmri-demo"))
        else:
            sub.add_argument("study", type=Path, metavar="STUDY.yaml")
    for verb in ("simulate", "run", "quantify", "networks", "localize", "demo"):
        added[verb].add_argument(
            "--n-procs", type=_positive, default=None, help="default: all cores"
        )
    for verb in ("run", "localize", "demo"):
        added[verb].add_argument(
            "--mem-gb", type=_memory, default=None, help="default: 90 %% of memory"
        )
        added[verb].add_argument("--work-dir", type=Path, default=None, help="default: OUTPUT/work")
    added["run"].add_argument(
        "--participant-label",
        nargs="+",
        default=None,
        metavar="LABEL",
        help="only these participants",
    )
    for verb in ("run", "localize"):
        added[verb].add_argument(
            "--profile",
            default="laptop",
            help="laptop, linear, or a YAML with a Nipype plugin and its arguments",
        )
    added["quantify"].add_argument(
        "--no-maps", action="store_true", help="regions only, no parametric maps"
    )
    added["networks"].add_argument(
        "--no-maps", action="store_true", help="parcels only, no maps of voxels"
    )
    added["quantify"].add_argument(
        "--figures",
        action="store_true",
        help="also draw the fit of every region, one file per scan",
    )
    added["simulate"].add_argument(
        "--preset", choices=("tiny", "demo", "full", "tables"), default=None
    )
    return main_parser


def _positive(text: str) -> int:
    value = int(text) if text.lstrip("-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of at least 1")
    return value


def _memory(text: str) -> float:
    value = float(text)
    if not 0.5 <= value < float("inf"):
        raise argparse.ArgumentTypeError("at least 0.5")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; 0 is success, 1 a failed computation, 2 unusable input."""
    arguments = parser().parse_args(argv)
    try:
        status: int = import_module(f"petfmri.commands.{arguments.verb}").main(arguments)
        sys.stdout.flush()  # here, where a reader that has left can be caught
    except PetfmriError as error:
        for problem in error.problems:
            print(f"petfmri {arguments.verb}: {problem}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # as in `petfmri check STUDY.yaml | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        found = f"{error.strerror or error}; expected a place to read and write"
        where = error.filename or "file"
        remedy = "Check the path, its permissions and the space left"
        print(f"petfmri {arguments.verb}: {where}: found {found}. {remedy}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("petfmri: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
