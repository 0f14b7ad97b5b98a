# RTMDet-tiny on 3000 rendered images, from random weights: the first half of `make scratch`. About
# half an hour on two CPU cores. Expected: mAP 0.77 on its own rendered validation images.
_base_ = './my_rtmdet_tiny_scratch.py'

data_root = '{{$RENDERED_ROOT:data/rendered_balloon}}/'
max_epochs = _base_.pretrain_epochs  # 6
base_lr = 0.0015
img_scale = (320, 320)  # more steps in the same time

train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True)
train_pipeline[3].img_scale = img_scale
train_pipeline[4].scale = (480, 480)
train_pipeline[5].crop_size = img_scale
train_pipeline[8].size = img_scale
del train_pipeline[2]  # copy-paste: rendered images have balloons enough

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

# ---- Schedule. 3000 images / batch 4 = 750 iterations per epoch, 4500 in total; no average of the
# weights, because training goes on with the photographs.
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(eta_min=base_lr * 0.05, end=max_epochs, T_max=max_epochs)
custom_hooks = _base_.custom_hooks
del custom_hooks[2]  # the average of the weights
load_from = None
