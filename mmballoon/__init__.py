"""What the commands in ``tools/`` and ``data_tools/`` are made of.

``import mmballoon.patches`` makes MMDetection work on today's PyTorch, in any script or notebook.
"""
