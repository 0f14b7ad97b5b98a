r"""Run one of upstream's own scripts, with the repairs and our rules applied.

    python tools/upstream.py mmdet                             (lists the scripts of MMDetection)
    python tools/upstream.py mmdet tools/analysis_tools/browse_dataset.py \
        configs/my_rtmdet_tiny.py --output-dir out --not-show
    python tools/upstream.py ~/mmyolo/demo/boxam_vis_demo.py IMAGE CONFIG CHECKPOINT    (of your clone)

Everything after the script is the script's own arguments; ``--help`` there prints its help.
"""

import sys

from mmballoon import upstream
from mmballoon.cli import report_errors

if __name__ == '__main__':
    words = sys.argv[1:]
    package = words.pop(0) if words and words[0] in ('mmdet', 'mmyolo') else None
    if words and words[0] not in ('-h', '--help'):
        sys.argv = words
        upstream.run(words[0], package)
    elif package:
        with report_errors():
            root = upstream.package_root(package)
            print(*sorted(str(p.relative_to(root)) for p in root.glob('tools/**/*.py')), sep='\n')
    else:
        print(__doc__)
