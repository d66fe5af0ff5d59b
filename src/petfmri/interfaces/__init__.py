"""Thin Nipype interfaces: read files, make one call, write files."""
