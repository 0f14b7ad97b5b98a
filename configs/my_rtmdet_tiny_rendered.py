# What my_rtmdet_tiny_scratch.py starts from where nothing can be downloaded: RTMDet-tiny on 3000 rendered pictures, from
# random weights. About half an hour on two CPU cores; the first half of `make scratch`. Expected: mAP 0.82 on its own
# rendered validation images.
_base_ = './my_rtmdet_tiny_scratch.py'

data_root = '{{$RENDERED_ROOT:data/rendered_balloon}}/'
max_epochs = 4
base_lr = 0.002
img_scale = (512, 512)

train_pipeline = [  # that of the photographs, but for copy-paste: there is no lack of balloons
    dict(type='LoadCachedImage', budget_gb=4.0),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='CachedMosaic',
        img_scale=img_scale,
        pad_val=114.0,
        max_cached_images=30,
        random_pop=False,
        prob=0.6),
    dict(
        type='RandomResize',
        resize_type='LazyResize',
        scale=(768, 768),
        ratio_range=(0.4, 1.8),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=img_scale),
    dict(type='HSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

# 3000 / 8 = 375 iterations an epoch, 1500 in all; mosaics to the end, as the photographs come after.
train_cfg = dict(max_epochs=max_epochs, val_interval=1, dynamic_intervals=None)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
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
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='NumClassCheckHook')]
load_from = None
