r"""Run one of upstream's own scripts, with the repairs and our rules applied.

    python tools/upstream.py mmdet                             (lists the scripts of MMDetection)
    python tools/upstream.py mmdet tools/analysis_tools/browse_dataset.py \
        configs/my_rtmdet_tiny.py --output-dir out --not-show
    python tools/upstream.py ~/mmyolo/demo/boxam_vis_demo.py IMAGE CONFIG CHECKPOINT    (of your clone)

Everything after the script is the script's own arguments; ``--help`` there prints its help.
"""

import sys
from pathlib import Path

from mmballoon import upstream
from mmballoon.cli import report_errors


def main(argv):
    """argv: [package, path inside the package, ARGS...] or [path of a script, ARGS...]."""
    if not argv or argv[0] in ('-h', '--help'):
        print(__doc__)
    elif argv[0] not in upstream.PACKAGES:
        sys.argv = argv
        upstream.run(Path(argv[0]))
    elif len(argv) == 1:
        with report_errors():
            print(*upstream.list_scripts(argv[0]), sep='\n')
    else:
        sys.argv = argv[1:]
        upstream.run_bundled(argv[0], argv[1])


if __name__ == '__main__':
    main(sys.argv[1:])
