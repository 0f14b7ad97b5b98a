# RTMDet-Ins-tiny: boxes and masks, from the outlines that the annotations already have. Fine-tuned
# from COCO weights with the recipe of my_rtmdet_tiny.py. The model is the one of MMDetection's
# rtmdet-ins_tiny_8xb32-300e_coco.py (a test compares them).
_base_ = './my_rtmdet_tiny.py'

del _base_.model.bbox_head['exp_on_reg']  # the head with masks has no such argument
model = dict(
    bbox_head=dict(
        type='RTMDetInsSepBNHead',
        loss_mask=dict(type='DiceLoss', loss_weight=2.0, eps=5e-6, reduction='mean')),
    test_cfg=dict(
        nms_pre=1000, score_thr=0.05, nms=dict(iou_threshold=0.6), max_per_img=100,
        mask_thr_binary=0.5))

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(with_mask=True, poly2mask=False)
train_pipeline.insert(-1, dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)))
train_pipeline_stage2 = _base_.train_pipeline_stage2
train_pipeline_stage2[1].update(with_mask=True, poly2mask=False)
train_pipeline_stage2.insert(-1, dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = _base_.custom_hooks
custom_hooks[3].switch_pipeline = train_pipeline_stage2

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator

load_from = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet-ins_tiny_8xb32-300e_coco/rtmdet-ins_tiny_8xb32-300e_coco_20221130_151727-ec670f7e.pth'
