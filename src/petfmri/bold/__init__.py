"""Confounds, denoising and parcel series of one BOLD run."""
