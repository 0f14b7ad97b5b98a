# RTMDet-tiny on the photographs without any download: from what my_rtmdet_tiny_rendered.py learned from rendered
# balloons. For machines without a network, and for domains where COCO does not help. One GPU or two CPU cores.
# `make scratch` does both. Expected: final mAP 0.54, with --tta 0.62 (two seeds, docs/results.md).
_base_ = './my_rtmdet_tiny.py'

# ---- What people change. Data root and classes are those of my_rtmdet_tiny.py.
max_epochs = 200
batch_size = 8
base_lr = 0.001  # AdamW's usual; 0.004 x 8 / 256 would hardly move random weights in 1600 iterations
img_scale = (512, 512)

model = dict(backbone=dict(frozen_stages=-1))

train_pipeline = [
    dict(type='LoadCachedImage', budget_gb=4.0),  # decoded once; what they may take in $TMPDIR
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    dict(type='CachedCopyPaste', prob=0.7, max_num_pasted=5, size_range=(0.03, 0.4)),
    dict(
        type='CachedMosaic',
        img_scale=img_scale,
        pad_val=114.0,
        max_cached_images=30,
        random_pop=False,
        prob=0.6),  # the rest are seen whole, as in testing
    dict(
        type='RandomResize',
        resize_type='LazyResize',
        scale=(768, 768),  # of a mosaic of 1024 or a single picture, before a crop of 512
        ratio_range=(0.4, 1.8),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=img_scale),
    dict(type='HSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
train_pipeline_stage2 = [
    dict(type='LoadCachedImage', budget_gb=4.0),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        resize_type='LazyResize',
        scale=(640, 640),  # as in testing
        ratio_range=(0.6, 1.6),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=img_scale),
    dict(type='HSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))

# ---- Schedule. 61 / 8 = 8 iterations an epoch, 1600 in all.
stage2_epochs = max(1, max_epochs // 10)  # 20
train_cfg = dict(
    max_epochs=max_epochs,
    val_interval=max(1, max_epochs // 20),
    dynamic_intervals=[(max_epochs - stage2_epochs, 1)])
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=40),  # 5 epochs
    dict(
        type='CosineAnnealingLR',
        eta_min=base_lr * 0.03,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
custom_hooks = [
    dict(type='ChannelsLastHook'),
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.01,  # a mean over 100 iterations, a sixteenth of the run
        gamma=100,
        update_buffers=True,
        priority=49),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=max_epochs - stage2_epochs,
        switch_pipeline=train_pipeline_stage2),
    dict(type='NumClassCheckHook'),
]
load_from = 'work_dirs/my_rtmdet_tiny_rendered/epoch_4.pth'  # of my_rtmdet_tiny_rendered.py; None: random weights
randomness = dict(seed=0)
