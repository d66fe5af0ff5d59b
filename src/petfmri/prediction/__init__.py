"""Cross-validated prediction that cannot see its test persons."""
