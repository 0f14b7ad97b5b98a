"""What several benchmarks need."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(data_root, *command):
    """Run ``python COMMAND`` in the repository, on the data in ``data_root``."""
    env = {**os.environ, 'BALLOON_ROOT': str(data_root)}
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=env, check=True)
