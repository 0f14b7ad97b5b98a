# The demo: RTMDet-tiny from the weights in the package on 96 rendered images, without any download, small
# enough for two cores of a laptop. Expected: mAP 0.8 on its 16 rendered validation images.
_base_ = './my_rtmdet_tiny.py'

data_root = '{{$BALLOON_ROOT:data/toy_balloon}}/'
# The rendered images show balloons, whatever the classes of your own data are.
metainfo = dict(
    classes=('balloon', ) if data_root == 'data/toy_balloon/' else _base_.metainfo.classes)
max_epochs = 4
batch_size = 4  # small batches give more steps for the same work
base_lr = 0.0005
img_scale = (320, 320)  # a quarter of the base's pixels
test_scale = (384, 384)

model = dict(
    backbone=dict(frozen_stages=-1), bbox_head=dict(num_classes=len(metainfo['classes'])))

# ---- Data. Too few iterations for mosaic and mixup: the base's stage 2 from the beginning.
pad_val = dict(img=(114, 114, 114))
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=test_scale, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='CropWithNegatives', crop_size=img_scale),
    dict(type='YOLOXHSVRandomAug'), dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=img_scale, pad_val=pad_val),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=test_scale, keep_ratio=True),
    dict(type='Pad', size=test_scale, pad_val=pad_val),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=meta_keys)]
# --tta: half, once and one and a half times the size of the test, as the base has it for 640.
tta_sides = [max(test_scale) * scale // 2 for scale in (2, 1, 3)]
tta_pad = -(-max(tta_sides) // 32) * 32  # the largest side, rounded up to a multiple of the largest stride
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(side, side), keep_ratio=True) for side in tta_sides],
        [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
        [dict(type='Pad', size=(tta_pad, tta_pad), pad_val=pad_val)],
        [dict(type='LoadAnnotations', with_bbox=True)],
        [dict(type='PackDetInputs', meta_keys=(*meta_keys, 'flip', 'flip_direction'))]])]

train_dataloader = dict(batch_size=batch_size, dataset=dict(
    data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
val_evaluator = test_evaluator = dict(ann_file=f'{data_root.rstrip("/")}/coco_val.json')

# ---- Schedule. 96 images / batch 4 = 24 iterations per epoch, 96 in total.
train_cfg = dict(max_epochs=max_epochs, val_interval=max(1, max_epochs // 2), dynamic_intervals=None)
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=base_lr))
if len(metainfo['classes']) > 1:  # their rows start alike; at base_lr, 200 steps do not tell them apart
    optim_wrapper['paramwise_cfg'] = dict(custom_keys=dict(rtm_cls=dict(lr_mult=30)))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=8),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.01, begin=0, end=max_epochs,
         T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='NumClassCheckHook')]
load_from = 'mmballoon://' + ','.join(name.replace(',', '%2C') for name in metainfo['classes'])
randomness = dict(seed=0)
