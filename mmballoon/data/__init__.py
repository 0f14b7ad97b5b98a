"""Annotations: read, converted, checked and split. Nothing here knows about MMDetection."""
