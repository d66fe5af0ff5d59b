"""The study YAML: what is analysed, validated strictly before anything is computed."""

from petfmri.config.analysis import Bold, Symptoms
from petfmri.config.inputs import AtlasFiles
from petfmri.config.loading import load_study
from petfmri.config.pet import K2PrimeValue, ReferenceLabels
from petfmri.config.study import Study

__all__ = [
    "AtlasFiles",
    "Bold",
    "K2PrimeValue",
    "ReferenceLabels",
    "Study",
    "Symptoms",
    "load_study",
]
