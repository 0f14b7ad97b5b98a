"""A trained detector as one ONNX file, and the check that it detects the same."""
