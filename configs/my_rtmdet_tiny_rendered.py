# What my_rtmdet_tiny_scratch.py starts from where nothing can be downloaded: RTMDet-tiny on 3000 rendered pictures, from
# random weights. About half an hour on two CPU cores; docs/results.md says what an earlier rendering gave.
#     python data_tools/make_toy_balloons.py --train 3000 --val 60 --out data/rendered_balloon --seed 7
#     python data_tools/balloon2coco.py --data-root data/rendered_balloon
#     python tools/train.py configs/my_rtmdet_tiny_rendered.py
_base_ = './my_rtmdet_tiny_toy.py'

data_root = '{{$RENDERED_ROOT:data/rendered_balloon}}/'
max_epochs = 5
batch_size = 8
base_lr = 0.002
img_scale = (416, 416)

train_pipeline = [
    dict(type='LoadImageFromFile'),  # each is seen five times only: nothing worth keeping decoded
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        resize_type='LazyResize',
        scale=img_scale,
        ratio_range=(0.6, 1.6),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=img_scale),
    dict(type='HSVRandomAug'),
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
custom_imports = dict(imports=['plugins.channels_last', 'plugins.fast_pipeline'])
train_dataloader = dict(
    batch_size=batch_size, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

# 3000 / 8 = 375 iterations an epoch, 1875 in all.
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(
        type='CosineAnnealingLR',
        eta_min=base_lr * 0.05,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
