# RTMDet-tiny on 3000 rendered images, from random weights: the first half of `make scratch`. About
# half an hour on two CPU cores. Expected: mAP 0.82 on its own rendered validation images.
_base_ = './my_rtmdet_tiny_scratch.py'

data_root = '{{$RENDERED_ROOT:data/rendered_balloon}}/'
max_epochs = _base_.pretrain_epochs  # 4
base_lr = 0.002

train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True)
del train_pipeline[2]  # copy-paste: rendered images have balloons enough

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_val.json')
test_evaluator = val_evaluator

# ---- Schedule. 3000 images / batch 8 = 375 iterations per epoch, 1500 in total; no stage 2 and no
# average of the weights, because training goes on with the photographs.
train_cfg = dict(max_epochs=max_epochs, val_interval=1, dynamic_intervals=None)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 60
param_scheduler[1].update(eta_min=base_lr * 0.05, end=max_epochs, T_max=max_epochs)
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='NumClassCheckHook')]
load_from = None
