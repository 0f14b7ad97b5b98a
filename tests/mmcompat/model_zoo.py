"""MMDetection's model zoo: one training step and one prediction of one config of a folder.

    python tests/mmcompat/model_zoo.py faster_rcnn            (in this process, with its traceback)

test_models.py runs all families on the CPU, benchmarks/gpu.py on a GPU. This needs no pytest.
"""

import contextlib
import multiprocessing
import os
import re
import resource
import sys
from pathlib import Path

import numpy as np

# The rule below would choose a part of a model, one that no release of MMDetection can build, or one
# with 13204 classes for each of 900 queries, which takes more than MEMORY.
CHOSEN = {
    'cascade_rpn': 'cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco',
    'sort': 'sort_faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17test',
    'strongsort': 'strongsort_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval',
    'v3det': 'fcos_r50_fpn_8x4_sample1e-3_mstrain_v3det_2x',
}
NOT_MODELS = {'_base_', 'common'}  # parts of the others
# What some models import, and MMDetection does not install.
PACKAGES = 'detectron2|fairscale|lap|mmpretrain|motmetrics|scikit-image|transformers'
SIZE = 256  # pixels
MEMORY, SECONDS = 8, 240  # GiB and time for each model


def configs():
    """{family: its config with the smallest name of a ResNet-50, or else the shortest name}."""
    import mmdet

    found = {}
    for folder in sorted((Path(mmdet.__file__).parent / '.mim/configs').iterdir()):
        files = sorted(folder.glob('*.py'), key=lambda f: (len(f.name), f.name))
        files = [f for f in files if 'tta' not in f.name and 'image-config' not in f.name]
        small = [f for f in files if any(word in f.name for word in ('r50', 'tiny', '_s_', 'r18'))]
        if files and folder.name not in NOT_MODELS:
            found[folder.name] = (small or files)[0]
        if folder.name in CHOSEN:
            found[folder.name] = folder / f'{CHOSEN[folder.name]}.py'
    return found


def without_weights(node):
    """Set every ``init_cfg`` that names a checkpoint, and all other weights, to None, in place."""
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, (dict, list, tuple)):
            without_weights(value)
    if isinstance(node, dict):
        if isinstance(node.get('init_cfg'), dict) and 'checkpoint' in node['init_cfg']:
            node['init_cfg'] = None
        for key in ('pretrained', 'teacher_ckpt'):
            if isinstance(node.get(key), str):
                node[key] = None


def make_inputs(cfg, training):
    """What the data loader gives to a model: two images, or two clips of two frames, with objects."""
    from mmdet.testing import demo_mm_inputs, demo_mm_proposals, demo_track_inputs

    text = str(cfg.model).lower()
    preprocessor = cfg.model.data_preprocessor
    frames = preprocessor.type == 'TrackDataPreprocessor'
    if frames and not (training and preprocessor.get('use_det_processor')):
        options = dict(image_shapes=(3, SIZE, SIZE), num_classes=2, with_mask=True)
        inputs = demo_track_inputs(1, 2, key_frames_inds=[0], **options)
    else:
        side = 320 if 'ssdvgg' in text else SIZE
        inputs = demo_mm_inputs(
            2,
            [[3, side, side]] * 2,
            num_items=[3, 2],
            num_classes=2,
            with_mask='mask' in text,
            with_semantic='semantic' in text or 'panoptic' in text,
        )
    for sample in inputs['data_samples']:
        for frame in getattr(sample, 'video_data_samples', [sample]):
            frame.gt_instances.labels.zero_()  # some models have one class
    if preprocessor.type == 'MultiBranchDataPreprocessor':
        for sample in inputs['data_samples']:
            sample.set_metainfo(dict(homography_matrix=np.eye(3, dtype=np.float32)))
        branches = ('sup', 'unsup_teacher', 'unsup_student')
        return {key: dict.fromkeys(branches, value) for key, value in inputs.items()}
    if cfg.model.type == 'FastRCNN':
        proposals = demo_mm_proposals([[3, SIZE, SIZE]] * 2, 100)
        for sample, found in zip(inputs['data_samples'], proposals):
            sample.proposals = found
    return inputs


def try_model(path, device='cpu'):
    """Build the model of a config, train it one step and predict once; raises what it raises."""
    import mmcompat  # noqa: F401  isort: skip
    import torch
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine import MessageHub
    from mmengine.config import Config
    from mmengine.model import revert_sync_batchnorm

    register_all_modules()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    os.chdir(path.parents[2])  # some configs name others relative to it
    cfg = Config.fromfile(path)
    without_weights(cfg._cfg_dict)
    cfg.model.get('data_preprocessor', {}).pop('batch_augments', None)  # they enlarge the images
    model = revert_sync_batchnorm(MODELS.build(cfg.model))  # as MMEngine does for one process
    model.init_weights()
    model.to(device)
    for name in ('epoch', 'iter'):  # some heads read them
        MessageHub.get_current_instance().update_info(name, 0)
    inputs = make_inputs(cfg, training=True)
    model.train()
    data = model.data_preprocessor(inputs, True)
    losses, _ = model.parse_losses(model(**data, mode='loss'))
    losses.backward()
    assert torch.isfinite(losses), 'the loss is not finite'
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.eval()
    with torch.no_grad():
        inputs = make_inputs(cfg, training=False)
        if 'sup' in inputs['inputs']:
            inputs = {key: value['sup'] for key, value in inputs.items()}
        inputs = {key: value[:1] for key, value in inputs.items()}  # masked convolution takes one
        assert len(model(**model.data_preprocessor(inputs, False), mode='predict')) == 1


def answer(path, device='cpu'):
    """'works', 'needs PACKAGE', or what went wrong, in this process."""
    try:
        with (
            open(os.devnull, 'w') as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            try_model(path, device)
        return 'works'
    except BaseException as e:
        text = f'{type(e).__name__}: {" ".join(str(e).split())}'
        needs = re.search(rf'\b({PACKAGES})\b', text.lower())
        if needs and ('install' in text or 'import' in text):
            text = f'needs {needs[0]}'
        if "can't allocate memory" in text:
            text = f'more than {MEMORY} GiB'
        return text.replace('|', '/')[:160]


def _child(path, pipe):
    limit = MEMORY * 2**30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    pipe.send(answer(path))


def outcome(path):
    """``answer`` from a process of its own with limits on memory and time."""
    import mmcompat  # noqa: F401  (imported once, before the fork)

    fork = multiprocessing.get_context('fork')
    here, there = fork.Pipe()
    child = fork.Process(target=_child, args=(path, there))
    child.start()
    there.close()
    try:
        said = here.recv() if here.poll(SECONDS) else f'not finished in {SECONDS} seconds'
    except EOFError:
        child.join()
        said = f'the process ended with {child.exitcode}'
    child.kill()
    child.join()
    return said


if __name__ == '__main__':
    try_model(configs()[sys.argv[1]])
