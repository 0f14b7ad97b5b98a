"""The report on a checkpoint: one HTML file, and its numbers as JSON. See tools/report.py."""
