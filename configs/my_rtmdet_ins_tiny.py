# RTMDet-Ins-tiny: boxes and masks, from the outlines that the annotations already have. Fine-tuned
# from COCO weights with the recipe of my_rtmdet_tiny.py.
_base_ = ['./my_rtmdet_tiny.py', './ins_head.py']

del _base_.model.bbox_head['exp_on_reg']  # the head with masks has no such argument
model = _base_.ins_model

train_pipeline = [
    _base_.load_image, _base_.load_outlines,
    dict(type='CachedMosaic', img_scale=_base_.img_scale, pad_val=114.0, max_cached_images=20,
         random_pop=False),
    dict(type='RandomResize', scale=(1280, 1280), ratio_range=(0.5, 2.0), **_base_.lazily),
    dict(type='CropWithNegatives', crop_size=_base_.img_scale),
    dict(type='HSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    _base_.pad,
    dict(type='CachedMixUp', img_scale=_base_.img_scale, ratio_range=(1.0, 1.0),
         max_cached_images=10, random_pop=False, pad_val=(114, 114, 114), prob=0.5),
    _base_.drop_cropped_away, dict(type='PackDetInputs')]
train_pipeline_stage2 = [  # without mosaic and mixup
    _base_.load_image, _base_.load_outlines,
    dict(type='RandomResize', scale=_base_.img_scale, ratio_range=(0.5, 2.0), **_base_.lazily),
    dict(type='CropWithNegatives', crop_size=_base_.img_scale),
    dict(type='HSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    _base_.pad, _base_.drop_cropped_away, dict(type='PackDetInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [
    dict(type='ChannelsLastHook'), dict(type='DepthwiseFloat32Hook'), _base_.average_weights,
    dict(type='PipelineSwitchHook', switch_epoch=_base_.max_epochs - _base_.stage2_epochs,
         switch_pipeline=train_pipeline_stage2),
    dict(type='NumClassCheckHook')]

val_evaluator = test_evaluator = dict(metric=['bbox', 'segm'])

load_from = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet-ins_tiny_8xb32-300e_coco/rtmdet-ins_tiny_8xb32-300e_coco_20221130_151727-ec670f7e.pth'
