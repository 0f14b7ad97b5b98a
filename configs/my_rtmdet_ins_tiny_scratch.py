# RTMDet-Ins-tiny (boxes and masks) without any download, from the weights that
# my_rtmdet_tiny_scratch.py trained. Expected: box mAP 0.56, mask mAP 0.55 at the last epoch.
_base_ = ['./my_rtmdet_tiny_scratch.py', './ins_head.py']

load_from = f'work_dirs/my_rtmdet_tiny_scratch/epoch_{_base_.max_epochs}.pth'
max_epochs = 40

del _base_.model.bbox_head['exp_on_reg']  # the head with masks has no such argument
_base_.optim_wrapper.paramwise_cfg.get('custom_keys', {}).pop('rtm_cls', None)  # told apart already
model = _base_.ins_model

train_pipeline = [  # no copy-paste: CachedCopyPaste drops the masks
    _base_.load_image, _base_.load_outlines,
    dict(type='CachedMosaic', img_scale=_base_.img_scale, pad_val=114.0, max_cached_images=30,
         random_pop=False, prob=0.6),
    dict(type='RandomResize', scale=(576, 576), ratio_range=(0.4, 1.8), **_base_.lazily),
    dict(type='CropWithNegatives', crop_size=_base_.img_scale),
    dict(type='HSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=_base_.img_scale, pad_val=dict(img=(114, 114, 114))),
    _base_.drop_cropped_away, dict(type='PackDetInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = test_evaluator = dict(metric=['bbox', 'segm'])

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=80),
    dict(type='CosineAnnealingLR', eta_min=_base_.base_lr * 0.03, begin=0, end=max_epochs,
         T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)]
