# RTMDet-Ins-tiny (boxes and masks) without any download, from the boxes that my_rtmdet_tiny_scratch.py
# learned. Expected: box mAP 0.59, mask mAP 0.57 at the last epoch.
_base_ = './my_rtmdet_tiny_scratch.py'

load_from = f'work_dirs/my_rtmdet_tiny_scratch/epoch_{_base_.max_epochs}.pth'
max_epochs = 40

del _base_.model.bbox_head['exp_on_reg']  # the head with masks has no such argument
model = dict(
    bbox_head=dict(
        type='RTMDetInsSepBNHead',
        loss_mask=dict(type='DiceLoss', loss_weight=2.0, eps=5e-6, reduction='mean')),
    test_cfg=dict(
        nms_pre=1000, score_thr=0.05, nms=dict(iou_threshold=0.6), max_per_img=100,
        mask_thr_binary=0.5))

train_pipeline = _base_.train_pipeline
del train_pipeline[2]  # CachedCopyPaste drops the masks
train_pipeline.insert(-1, dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
