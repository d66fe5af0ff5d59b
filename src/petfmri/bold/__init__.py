"""Confounds, denoising and parcel series."""
