"""The embedded template, parcels, networks and reference regions; or the user's own."""

from petfmri.atlases.atlas import Atlas, load_atlas, select_regions
from petfmri.atlases.template import Template, load_reference_mask, load_template

__all__ = [
    "Atlas",
    "Template",
    "load_atlas",
    "load_reference_mask",
    "load_template",
    "select_regions",
]
