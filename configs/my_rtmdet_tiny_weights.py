# Makes the weights in the package: RTMDet-tiny from random weights on rendered objects of 50 kinds, balloons
# among them. `make weights` runs it. Two CPU cores with bfloat16, or a GPU.
_base_ = ['./my_rtmdet_tiny.py', '../mmballoon/render/kinds.py']

data_root = '{{$RENDERED_ROOT:data/objects}}/'
metainfo = dict(classes=tuple(_base_.kinds), palette=_base_.metainfo.palette * 7)
max_epochs = 3
batch_size = 6  # small batches give more steps; with 4 an image takes a quarter more CPU time
base_lr = 0.0018
img_scale = (320, 320)
num_workers = 1

model = dict(
    backbone=dict(frozen_stages=-1), bbox_head=dict(num_classes=len(metainfo['classes'])))

# ---- Data. The base's stage 1 at half its size. 40 % of the images are seen whole.
train_pipeline = _base_.train_pipeline
train_pipeline[0] = dict(type='LoadImageFromFile')
train_pipeline[2].update(img_scale=img_scale, max_cached_images=30, prob=0.6)
train_pipeline[3].update(scale=(480, 480), ratio_range=(0.5, 2.0))
train_pipeline[4].crop_size = img_scale
train_pipeline[7].size = img_scale
del train_pipeline[8]  # mixup

train_dataloader = dict(
    batch_size=batch_size, num_workers=num_workers,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=num_workers, dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

# ---- Schedule. 6000 images / batch 6 = 1000 iterations per epoch, 3000 in total.
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs, dynamic_intervals=None)
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=base_lr, fused=True))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.01, begin=0, end=max_epochs,
         T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = _base_.custom_hooks
del custom_hooks[2:4]  # the average of the weights, and stage 2
default_hooks = dict(logger=dict(interval=50))
load_from = None
randomness = dict(seed=0)
