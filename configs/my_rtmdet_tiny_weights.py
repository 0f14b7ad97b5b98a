# Makes the weights in the package: RTMDet-tiny from random weights on rendered objects of 50 kinds, balloons
# among them. `make weights` runs it: 40 minutes on a CPU core with bfloat16 that does nothing else.
_base_ = ['./my_rtmdet_tiny.py', '../mmballoon/render/kinds.json']

data_root = '{{$RENDERED_ROOT:data/objects}}/'
metainfo = dict(classes=tuple(_base_.kinds), palette=_base_.metainfo.palette * 7)
max_epochs = 3
batch_size = 6  # small batches give more steps; with 4, an image takes a quarter more CPU time
base_lr = 0.0018
img_scale = (320, 320)  # half of what is tested at; objects keep their size in pixels
num_workers = 1

model = dict(
    backbone=dict(frozen_stages=-1), bbox_head=dict(num_classes=len(metainfo['classes'])))

# ---- Data. 40 % of the images are seen whole.
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='CachedMosaic', img_scale=img_scale, pad_val=114.0, max_cached_images=30,
         random_pop=False, prob=0.6),
    dict(type='RandomResize', scale=(480, 480), ratio_range=(0.5, 2.0), **_base_.lazily),
    dict(type='RandomCrop', crop_size=img_scale),
    dict(type='HSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs')]
dataset = dict(data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    batch_size=batch_size, num_workers=num_workers, persistent_workers=num_workers > 0,
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = test_dataloader = dict(
    num_workers=num_workers, persistent_workers=num_workers > 0, dataset=dataset)
val_evaluator = test_evaluator = dict(ann_file=f'{data_root.rstrip("/")}/coco_val.json')

# ---- Schedule. 6000 images / batch 6 = 1000 iterations per epoch, 3000 in total.
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs, dynamic_intervals=None)
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=base_lr, fused=True))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.01, begin=0, end=max_epochs,
         T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = [
    dict(type='ChannelsLastHook'), dict(type='DepthwiseFloat32Hook'),
    dict(type='NumClassCheckHook')]
default_hooks = dict(logger=dict(interval=50))
load_from = None
randomness = dict(seed=0)
