# RTMDet-tiny on a few dozen annotated images, fine-tuned from COCO weights.
# Hardware: any. The published run of this recipe took 11 minutes on an RTX 3090 and reached
# mAP 0.804 (best epoch) and 0.775 (last epoch); README.md names the source.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
custom_imports = dict(imports=['mmballoon.train'])

# ---- Settings that people change. Everything below follows from them.
data_root = '{{$BALLOON_ROOT:data/balloon}}/'  # holds train/, val/, coco_train.json, coco_val.json
metainfo = dict(
    classes=('balloon', ),  # the category names of the COCO files; one class is still a tuple
    palette=[(220, 20, 60), (0, 125, 190), (60, 160, 60), (250, 170, 30), (140, 70, 180),
             (0, 170, 170), (230, 100, 180), (120, 120, 120)])  # RGB; at least one for each class
max_epochs = 200
batch_size = 12
base_lr = batch_size * 0.004 / 256  # 1.875e-4: RTMDet's 0.004 is for batch 256 (8 GPUs x 32)
img_scale = (640, 640)  # width, height in training
num_workers = 2  # processes that load images; with a GPU, one for each CPU core

# ---- Model. The COCO checkpoint includes the backbone, so ImageNet weights are not downloaded; the
# backbone is frozen, because 61 images are too few to improve it.
# In training, SiLU in place saves no memory: its backward pass copies the input. So it only costs time.
act_cfg = dict(type='SiLU', inplace=False)
model = dict(
    backbone=dict(init_cfg=None, frozen_stages=4, act_cfg=act_cfg),
    neck=dict(act_cfg=act_cfg),
    bbox_head=dict(num_classes=len(metainfo['classes']), act_cfg=act_cfg))

# ---- Data. The base's pipelines. LoadCachedImage, LazyResize and HSVRandomAug are faster than the
# transforms of the base that they replace, and have the same result. CropWithNegatives is RandomCrop
# that does not drop images without objects.
load_image = dict(type='LoadCachedImage', budget_gb=2.0)  # memory for decoded images, of all workers
lazily = dict(keep_ratio=True, resize_type='LazyResize')
pad = dict(type='Pad', size=img_scale, pad_val=dict(img=(114, 114, 114)))
train_pipeline = [
    load_image, dict(type='LoadAnnotations', with_bbox=True),
    dict(type='CachedMosaic', img_scale=img_scale, pad_val=114.0, max_cached_images=20,
         random_pop=False),
    dict(type='RandomResize', scale=(1280, 1280), ratio_range=(0.5, 2.0), **lazily),
    dict(type='CropWithNegatives', crop_size=img_scale),
    dict(type='HSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    pad,
    dict(type='CachedMixUp', img_scale=img_scale, ratio_range=(1.0, 1.0), max_cached_images=10,
         random_pop=False, pad_val=(114, 114, 114), prob=0.5),
    dict(type='PackDetInputs')]
train_pipeline_stage2 = [  # without mosaic and mixup
    load_image, dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=img_scale, ratio_range=(0.5, 2.0), **lazily),
    dict(type='CropWithNegatives', crop_size=img_scale),
    dict(type='HSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    pad, dict(type='PackDetInputs')]

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers, persistent_workers=num_workers > 0,
    dataset=dict(
        pipeline=train_pipeline, data_root=data_root, metainfo=metainfo,
        ann_file='coco_train.json', data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=False, min_size=0)))  # every image, without objects too
val_dataloader = test_dataloader = dict(
    num_workers=num_workers, persistent_workers=num_workers > 0,
    dataset=dict(
        data_root=data_root, metainfo=metainfo,
        ann_file='coco_val.json', data_prefix=dict(img='val/')))
val_evaluator = test_evaluator = dict(ann_file=f'{data_root.rstrip("/")}/coco_val.json')

# ---- Schedule. 61 images / batch 12 = 6 iterations per epoch, 1200 in total.
stage2_epochs = max(1, max_epochs // 40)  # 5: the last epochs, without mosaic and mixup
warmup_epochs = max(1, max_epochs // 40)  # 5 x 6 = 30 iterations; the base's 1000 are too long here
train_cfg = dict(
    max_epochs=max_epochs, val_interval=max(1, max_epochs // 40),
    dynamic_intervals=[(max_epochs - stage2_epochs, 1)])  # in stage 2, validate every epoch
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=True, begin=0, end=warmup_epochs,
         convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.05, begin=max_epochs // 2, end=max_epochs,
         T_max=max_epochs - max_epochs // 2, by_epoch=True, convert_to_iter_based=True)]
auto_scale_lr = dict(base_batch_size=batch_size)  # the batch that base_lr is for

# ---- Hooks
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='coco/bbox_mAP', rule='greater'),
    transfer=dict(type='TransferHook'),  # logs how many weights load_from loaded
    curves=dict(type='CurvesHook'))  # draws curves.png in the work directory
# The base averages the weights over 5000 of its 138,000 iterations. Here: 50 of 1200.
average_weights = dict(
    type='EMAHook', ema_type='ExpMomentumEMA', momentum=4 / max(max_epochs, 8), gamma=max_epochs,
    update_buffers=True, priority=49)
custom_hooks = [
    dict(type='ChannelsLastHook'),  # faster on CPUs and GPUs
    dict(type='DepthwiseFloat32Hook'),  # faster on a CPU with --amp
    average_weights,
    dict(type='PipelineSwitchHook', switch_epoch=max_epochs - stage2_epochs,
         switch_pipeline=train_pipeline_stage2),
    dict(type='NumClassCheckHook')]

# ---- COCO weights: all of them fit but the classification layer, which has 80 classes there.
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth'
