# What both RTMDet-Ins configs share: the head with masks, of MMDetection's
# rtmdet-ins_tiny_8xb32-300e_coco.py (a test compares them). It is no config to train with by itself.
ins_model = dict(
    bbox_head=dict(
        type='RTMDetInsSepBNHead',
        loss_mask=dict(type='DiceLoss', loss_weight=2.0, eps=5e-6, reduction='mean')),
    test_cfg=dict(
        nms_pre=1000, score_thr=0.05, nms=dict(iou_threshold=0.6), max_per_img=100,
        mask_thr_binary=0.5))
load_outlines = dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)
drop_cropped_away = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False)
