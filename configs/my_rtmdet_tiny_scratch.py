# RTMDet-tiny on the photographs without any download, for machines without a network and for data
# that COCO does not help with. It starts from what my_rtmdet_tiny_rendered.py learned from rendered
# balloons; `make scratch` runs both. One GPU or two CPU cores.
# Expected: mAP 0.54 at the last epoch, 0.62 with --tta (two seeds, docs/results.md).
_base_ = './my_rtmdet_tiny.py'

max_epochs = 200
batch_size = 8
base_lr = 0.001  # usual for AdamW; 0.004 x 8 / 256 is too small to move random weights in 1600 steps
img_scale = (512, 512)
stage2_epochs = max(1, max_epochs // 10)  # 20

model = dict(backbone=dict(frozen_stages=-1))

# ---- Data. The base's pipelines at img_scale, with copy-paste of annotated balloons and no mixup.
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(with_mask=True, poly2mask=False)  # copy-paste needs the outlines
train_pipeline[2].update(  # 40 % of the images are seen whole, as in testing
    img_scale=img_scale, max_cached_images=30, prob=0.6)
train_pipeline[3].update(scale=(768, 768), ratio_range=(0.4, 1.8))  # before a crop of 512
train_pipeline[4].crop_size = img_scale
train_pipeline[7].size = img_scale
del train_pipeline[8]  # mixup
train_pipeline.insert(
    2, dict(type='CachedCopyPaste', prob=0.7, max_num_pasted=5, size_range=(0.03, 0.4)))

train_pipeline_stage2 = _base_.train_pipeline_stage2
train_pipeline_stage2[2].ratio_range = (0.6, 1.6)
train_pipeline_stage2[3].crop_size = img_scale
train_pipeline_stage2[6].size = img_scale

train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))

# ---- Schedule. 61 images / batch 8 = 8 iterations per epoch, 1600 in total.
train_cfg = dict(
    max_epochs=max_epochs,
    val_interval=max(1, max_epochs // 20),
    dynamic_intervals=[(max_epochs - stage2_epochs, 1)])
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=40),  # 5 epochs
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.03, begin=0, end=max_epochs,
         T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = _base_.custom_hooks
custom_hooks[2].update(momentum=0.01, gamma=100)  # average over 100 iterations, 1/16 of the run
custom_hooks[3].update(
    switch_epoch=max_epochs - stage2_epochs, switch_pipeline=train_pipeline_stage2)
del custom_hooks[1]  # the recorded runs did not have DepthwiseFloat32Hook

pretrain_epochs = 4  # of my_rtmdet_tiny_rendered.py
load_from = f'work_dirs/my_rtmdet_tiny_rendered/epoch_{pretrain_epochs}.pth'  # None: random weights
randomness = dict(seed=0)
