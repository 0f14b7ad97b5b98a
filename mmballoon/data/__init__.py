"""Annotations: read, converted, checked, split and rendered. Nothing here knows about torch or
MMDetection.
"""
