"""Annotations: read, converted, checked, split and rendered. Nothing here knows about MMDetection."""
