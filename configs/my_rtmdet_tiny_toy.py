# The demo: RTMDet-tiny from random weights on 96 rendered images, in about 5 minutes on two CPU cores. No download.
# Expected: mAP 0.65 on its 16 rendered validation images (docs/results.md).
_base_ = './my_rtmdet_tiny.py'

data_root = '{{$BALLOON_ROOT:data/toy_balloon}}/'
max_epochs = 36
batch_size = 4
base_lr = 0.002
img_scale = (320, 320)  # a quarter of the base's pixels

model = dict(backbone=dict(frozen_stages=-1))  # nothing learned yet that could be kept

# 96 / 4 = 24 iterations an epoch, 864 in all: no time for mosaic and mixup, nor for an average of weights.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        scale=img_scale,
        ratio_range=(0.8, 1.25),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=img_scale),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=batch_size, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=9, dynamic_intervals=None)
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(
        type='CosineAnnealingLR',
        eta_min=base_lr * 0.01,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='NumClassCheckHook')]
load_from = None
randomness = dict(seed=0)
