"""Test a detector: MMDetection's own tools/test.py, unchanged, with the repairs and our rules.

    python tools/test.py configs/my_rtmdet_tiny.py work_dirs/my_rtmdet_tiny/best_coco_bbox_mAP_epoch_*.pth
    python tools/test.py CONFIG CHECKPOINT --show-dir vis          (images: annotations left, detections right)
    python tools/test.py CONFIG CHECKPOINT --out results.pkl       (predictions, for tools/report.py)
    python tools/test.py CONFIG CHECKPOINT --tta                   (several sizes and flips, merged)

All options are those of MMDetection; --help lists them.
"""

from mmballoon import upstream

if __name__ == '__main__':
    upstream.run('tools/test.py', 'mmdet')
else:  # a data-loader worker that was started by spawn imports this file again
    upstream.apply_rules()
