"""The bars of the network metrics, each part in a module of its own."""

from __future__ import annotations

import networks_clean_bars
import networks_limit_bars
import networks_metric_bars
import networks_parcel_bars
import networks_real_bars
import networks_recovery_bars
from networks_pages import appendix

MEASURES = [
    *networks_clean_bars.MEASURES,
    *networks_limit_bars.MEASURES,
    *networks_metric_bars.MEASURES,
    *networks_recovery_bars.MEASURES,
    *networks_real_bars.MEASURES,
    *networks_parcel_bars.MEASURES,
]
APPENDIX = appendix

VALIDATION = """# Validation of the network metrics

Times are CPU seconds of one thread; peers ran on the same data in the same run, nilearn 0.14.1
beside petfmri and bctpy 0.6.1 in an environment of its own. Spikes of the burst case are white noise of 6
SD in the censored frames, half or all of its variance shared by all parcels; the bias of r is with
spikes minus without, both with the same frames censored, and the bias from the whole run is against
the same frames of the spike-free run cleaned without censoring. Given a boolean mask where nilearn
indexes by integers, nilearn and petfmri (cubic filling) agree to rounding. "-" marks lines for reading
that no bar applies to.
"""
