"""Imported first by the worker processes: Nipype says nothing, petfmri reports at the end."""

import logging

import nipype

for name in ("nipype", "nipype.workflow", "nipype.interface", "nipype.utils", "nipype.filemanip"):
    logging.getLogger(name).setLevel(logging.CRITICAL)

SILENCED = nipype.__version__
