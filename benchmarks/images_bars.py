"""The bars of the image engines, each part in a module of its own."""

from __future__ import annotations

import importlib

PARTS = ("images_bold", "images_pet", "images_anat", "images_study", "images_full")
MEASURES = [
    measure for part in PARTS for measure in importlib.import_module(f"{part}_bars").MEASURES
]

VALIDATION = """# Validation of the image engines

Errors are distances between where a transform takes points of the brain and where the simulation
knows that they belong. antspyx 0.6.3 ran in an environment of its own on the same files.
"""
