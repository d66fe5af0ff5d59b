"""Nipype workflow builders: values in, a workflow out."""
