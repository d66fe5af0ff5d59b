"""Effects, permutation inference, comparisons and coupling."""
