"""What the commands in ``tools/`` and ``data_tools/`` are made of; CONTRIBUTING.md lists its parts."""
