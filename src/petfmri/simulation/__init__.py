"""Studies whose true answer is known."""
