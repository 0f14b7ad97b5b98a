# RTMDet-tiny on a few dozen annotated images, fine-tuned from COCO weights. The data set: 61 + 13 photographs of
# balloons. Hardware: any; published on one GPU in 11 minutes (RTX 3090), mAP 0.804 best, 0.775 final
# (Hust-Liaoyuyang/OpenMMLabHomeWork; see docs/results.md).
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
custom_imports = dict(imports=['plugins'])  # tools/plugins

# ---- What people change. Everything below follows from these.
data_root = '{{$BALLOON_ROOT:data/balloon}}/'  # train/, val/, coco_train.json, coco_val.json
metainfo = dict(
    classes=('balloon', ),  # one class is still a tuple: mind the comma. Same names as the COCO file's categories
    palette=[(220, 20, 60), (0, 125, 190), (60, 160, 60), (250, 170, 30), (140, 70, 180),
             (0, 170, 170), (230, 100, 180), (120, 120, 120)])  # RGB, at least as many as classes
max_epochs = 200
batch_size = 12
base_lr = batch_size * 0.004 / 256  # 1.875e-4: RTMDet's 0.004 belongs to batch 256 (8 GPUs x 32)
num_workers = 2  # processes that load pictures; a GPU waits for them: give it as many as there are cores

# ---- Model: only the number of classes differs. load_from brings the backbone's weights too, so that none are fetched
# for it, and 61 images are too few to improve what it learned from COCO: frozen.
# SiLU in place saves no memory in training, since its backward needs a copy of the input: out of place, it is faster.
act_cfg = dict(type='SiLU', inplace=False)
model = dict(
    backbone=dict(init_cfg=None, frozen_stages=4, act_cfg=act_cfg),
    neck=dict(act_cfg=act_cfg),
    bbox_head=dict(num_classes=len(metainfo['classes']), act_cfg=act_cfg))

# ---- Data. The base's pipelines transform by transform, three of them faster (tools/plugins/fast_pipeline.py).
train_pipeline = [
    dict(type='LoadCachedImage', budget_gb=4.0),  # decoded once; what they may take in $TMPDIR
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='CachedMosaic',
        img_scale=(640, 640),
        pad_val=114.0,
        max_cached_images=20,
        random_pop=False),
    dict(
        type='RandomResize',
        resize_type='LazyResize',
        scale=(1280, 1280),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(640, 640)),
    dict(type='HSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(640, 640), pad_val=dict(img=(114, 114, 114))),
    dict(
        type='CachedMixUp',
        img_scale=(640, 640),
        ratio_range=(1.0, 1.0),
        max_cached_images=10,
        random_pop=False,
        pad_val=(114, 114, 114),
        prob=0.5),
    dict(type='PackDetInputs'),
]
train_pipeline_stage2 = [
    dict(type='LoadCachedImage', budget_gb=4.0),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        resize_type='LazyResize',
        scale=(640, 640),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(640, 640)),
    dict(type='HSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(640, 640), pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(
        pipeline=train_pipeline,
        data_root=data_root,
        metainfo=metainfo,
        ann_file='coco_train.json',
        data_prefix=dict(img='train/')))
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='coco_val.json',
        data_prefix=dict(img='val/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

# ---- Schedule. 61 images / batch 12 = 6 iterations an epoch, 1200 in all.
stage2_epochs = max(1, max_epochs // 40)  # 5: the last ones, without mosaic and mixup
warmup_epochs = max(1, max_epochs // 40)  # 5 x 6 = 30 iterations; the base's 1000 would be most of the run
val_interval = max(1, max_epochs // 40)  # 5

train_cfg = dict(
    max_epochs=max_epochs,
    val_interval=val_interval,
    dynamic_intervals=[(max_epochs - stage2_epochs, 1)])  # every epoch of stage 2
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-5,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',  # the second half, to 5 % as in the base
        eta_min=base_lr * 0.05,
        begin=max_epochs // 2,
        end=max_epochs,
        T_max=max_epochs - max_epochs // 2,
        by_epoch=True,
        convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=256)  # what lr 0.004 belongs to; the base inherits 16 from another model

# ---- Hooks
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(
        interval=1,  # so that --resume loses less than an epoch
        max_keep_ckpts=2,
        save_best='coco/bbox_mAP',
        rule='greater'),
    transfer=dict(type='TransferHook'),  # one line on what load_from gave
    curves=dict(type='CurvesHook'))  # curves.png in the work directory
custom_hooks = [
    dict(type='ChannelsLastHook'),  # these two with --amp: 2.8 times the speed on a CPU (benchmarks/train_step.py)
    dict(type='DepthwiseFloat32Hook'),
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        # A mean over the last max_epochs / 4 = 50 iterations, 4 % of the run, as the base's 5000 are of its 138,000;
        # gamma, the iterations until it counts fully, likewise: 200 here, 2000 there.
        momentum=4 / max(max_epochs, 8),
        gamma=max_epochs,
        update_buffers=True,
        priority=49),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=max_epochs - stage2_epochs,
        switch_pipeline=train_pipeline_stage2),
    dict(type='NumClassCheckHook'),
]

# ---- COCO weights: all but the class convolution (80 classes there) is kept. sha256 starts with 78e30dcc.
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth'  # noqa: E501
