"""Kinetic models of PET tracers: one model a file."""
