"""Connectivity and measures of desynchronization."""
