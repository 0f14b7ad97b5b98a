# RTMDet-tiny on 3000 rendered images, from random weights: the first half of `make scratch`. About
# half an hour on two CPU cores. Expected: mAP 0.77 on its own rendered validation images.
_base_ = './my_rtmdet_tiny_scratch.py'

data_root = '{{$RENDERED_ROOT:data/rendered_balloon}}/'
# The photographs' classes, and the balloons that are painted on them.
metainfo = dict(classes=tuple(dict.fromkeys((*_base_.metainfo.classes, 'balloon'))))
max_epochs = _base_.pretrain_epochs  # 6
base_lr = 0.0015
img_scale = (320, 320)  # more steps in the same time

model = dict(bbox_head=dict(num_classes=len(metainfo['classes'])))

# ---- Data. No copy-paste: rendered images have balloons enough.
train_pipeline = [
    _base_.load_image,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='CachedMosaic', img_scale=img_scale, pad_val=114.0, max_cached_images=30,
         random_pop=False, prob=0.6),
    dict(type='RandomResize', scale=(480, 480), ratio_range=(0.4, 1.8), **_base_.lazily),
    dict(type='CropWithNegatives', crop_size=img_scale),
    dict(type='HSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs')]
train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_evaluator = test_evaluator = dict(ann_file=data_root + 'coco_val.json')

# ---- Schedule. 3000 images / batch 4 = 750 iterations per epoch, 4500 in total; no average of the
# weights, because training goes on with the photographs.
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=80),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.05, begin=0, end=max_epochs,
         T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = [
    dict(type='ChannelsLastHook'), dict(type='DepthwiseFloat32Hook'),
    dict(type='NumClassCheckHook')]
load_from = None
