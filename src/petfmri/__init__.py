"""petfmri: from raw BIDS PET and fMRI, before and after a dose, to one honest answer."""

__version__ = "0.1.0"
