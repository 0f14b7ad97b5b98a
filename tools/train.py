"""Train a detector: MMDetection's own tools/train.py, unchanged, with the repairs and our rules.

    python tools/train.py configs/my_rtmdet_tiny.py
    python tools/train.py configs/my_rtmdet_tiny.py --resume
    python tools/train.py configs/my_rtmdet_tiny.py --amp --cfg-options train_dataloader.batch_size=8
    torchrun --nproc_per_node=2 tools/train.py configs/my_rtmdet_tiny.py --launcher pytorch

All options are those of MMDetection; --help lists them.
"""

from mmballoon import upstream

if __name__ == '__main__':
    upstream.run('tools/train.py', 'mmdet')
else:  # a data-loader worker that was started by spawn imports this file again
    upstream.apply_rules()
