"""Frames, time-activity curves, reference regions and uptake ratios."""
