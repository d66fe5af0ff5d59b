"""Registration, transforms, motion, bias field, brain and tissues."""
