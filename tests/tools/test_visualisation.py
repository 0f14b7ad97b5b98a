"""The two map demos as commands, and whether a Box AM shows what the detector looks at."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, Tiny, once, run, write_small_config

OTHER = ROOT / '.venv/other'  # other releases of mmyolo and grad-cam; `make test-all` installs them
STRIDES = (8, 16, 32)


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """A detector that has learned its 16 rendered images, in a quarter of a minute on two cores."""

    def make(root):
        data = ['--train', 16, '--val', 4, '--seed', 3]
        run('data_tools/make_toy_balloons.py', '--out', root / 'data', *data)
        run('data_tools/balloon2coco.py', '--data-root', root / 'data')
        options = ['train_cfg.max_epochs=12', 'train_cfg.val_interval=12']
        options += ['param_scheduler.1.end=12', 'param_scheduler.1.T_max=12']
        options += ['default_hooks.checkpoint.interval=12']
        toy = Tiny(root / 'data', write_small_config(root / 'small.py', 192))
        command = ['tools/train.py', toy.config, '--work-dir', root / 'work']
        run(*command, '--cfg-options', *options, env=toy.env, timeout=1800)

    root = once(tmp_path_factory, 'trained', make)
    toy = Tiny(root / 'data', root / 'small.py')
    toy.images = sorted((toy.root / 'train').glob('*.jpg'))
    toy.weights = root / 'work/epoch_12.pth'
    return toy


def build_box_am(toy, method='gradcam', **kwargs):
    import mmcompat  # noqa: F401

    from mmengine.config import Config

    from mmballoon.explain.box_am import BoxAM

    return BoxAM(Config.fromfile(toy.config), str(toy.weights), method, **kwargs)


def explainable(am, toy, score_thr=0.3):
    """[(image, sample)] of the images with detections, the sample holding only these."""
    found = []
    for path in toy.images:
        image = cv2.imread(str(path))
        sample = am.detect(image)
        sample.pred_instances = sample.pred_instances[sample.pred_instances.scores > score_thr]
        if len(sample.pred_instances):
            found.append((image, sample))
    return found


def inside(heat, boxes):
    """The pixels of a map that lie in a box: (H, W) bool."""
    mask = np.zeros(heat.shape, bool)
    for x1, y1, x2, y2 in np.int32(np.clip(boxes.cpu().numpy(), 0, None)):
        mask[y1:y2, x1:x2] = True
    return mask


def inside_over_outside(heat, boxes):
    """Mean heat inside the boxes over mean heat outside: 0 for a blank map, NaN without an outside."""
    mask = inside(heat, boxes)
    return heat[mask].mean() / max(heat[~mask].mean(), 1e-9)


def randomize(model, seed):
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, 'reset_parameters'):
            module.reset_parameters()


@pytest.mark.slow
@pytest.mark.parametrize('method', ['gradcam', 'eigencam', 'layercam'])
def test_the_heat_depends_on_the_weights(trained, method, capsys):
    """Sanity check of Adebayo et al., 2018 (https://arxiv.org/abs/1810.03292): random weights in place
    of the trained ones must give another map. Blank maps do not count as others.

    MMYOLO's gradcam does not average the gradient over the map. The boxes alone then decide where the
    heat can be, so maps are compared inside the boxes only.
    """
    am = build_box_am(trained, method)
    rows = []
    for image, sample in explainable(am, trained)[:6]:
        strides = am.strides(image, sample.pred_instances)
        layers = [f'neck.out_convs[{STRIDES.index(stride)}]' for stride in strides]
        rows.append((image, sample, layers, am.heat(image, sample, layers)))
    assert len(rows) >= 4, 'the toy detector found too little'
    ratios = [inside_over_outside(heat, s.pred_instances.bboxes) for _, s, _, heat in rows]
    correlations, random_ratios = [], []
    for seed in range(6):
        randomize(am.detector, seed)
        for image, sample, layers, heat in rows:
            other = am.heat(image, sample, layers)
            if other.any():
                boxes = sample.pred_instances.bboxes
                mask = inside(heat, boxes)
                flat = np.ptp(other[mask]) == 0  # all of its heat is elsewhere
                correlations.append(0 if flat else np.corrcoef(heat[mask], other[mask])[0, 1])
                random_ratios.append(inside_over_outside(other, boxes))
    with capsys.disabled():
        print(
            f'\n{method}: heat inside / outside the boxes {np.nanmedian(ratios):.1f} trained, '
            f'{np.nanmedian(random_ratios):.1f} random; correlation inside the boxes '
            f'{np.mean(correlations):.2f} ({len(correlations)} of {6 * len(rows)} random maps not blank)'
        )
    assert len(correlations) >= 8, 'nearly all maps of random weights are blank: nothing compared'
    assert np.mean(correlations) < 0.6
    assert np.nanmedian(ratios) > 1, 'the heat of the trained detector is not on its detections'
    assert method == 'eigencam' or np.nanmedian(ratios) >= 2  # eigencam does not know the boxes


@pytest.mark.slow
@pytest.mark.parametrize('method', ['gradcam', 'gradcam++', 'layercam', 'eigencam', 'ablationcam'])
def test_methods(trained, method):
    am = build_box_am(trained, method, batch_size=4, ratio_channels_to_ablate=0.1)
    image, sample = explainable(am, trained)[0]
    (stride, *_) = am.strides(image, sample.pred_instances)
    heat = am.heat(image, sample, [f'neck.out_convs[{STRIDES.index(stride)}]'])
    assert heat.shape == image.shape[:2] and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() == 1


@pytest.mark.slow
def test_ablation_in_batches_gives_the_same_map(trained):
    results = []
    for batch_size in (1, 5):
        am = build_box_am(
            trained, 'ablationcam', batch_size=batch_size, ratio_channels_to_ablate=0.1
        )
        image, sample = explainable(am, trained)[0]
        stride = am.strides(image, sample.pred_instances)[0]
        results.append(am.heat(image, sample, [f'neck.out_convs[{STRIDES.index(stride)}]']))
    assert results[0].max() == 1 and np.abs(results[0] - results[1]).max() < 0.02


def test_gradcam_through_a_frozen_backbone(tiny, monkeypatch):
    """The main config freezes all stages; the toy config does not."""
    from mmengine.config import Config

    from mmballoon.explain.box_am import BoxAM

    monkeypatch.setenv('BALLOON_ROOT', str(tiny.root))
    am = BoxAM(Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py'), str(tiny.checkpoint))
    assert am.detector.backbone.frozen_stages == 4
    image = cv2.imread(str(tiny.images[0]))
    sample = am.detect(image)
    sample.pred_instances = sample.pred_instances[:3]
    assert am.heat(image, sample, ['backbone.stage4']).max() == 1


def test_boxam_command(tiny, tmp_path):
    image = tiny.images[0]
    done = run(
        'tools/boxam_vis_demo.py', image, tiny.config, tiny.checkpoint, '--out-dir', tmp_path,
        '--topk', 2, '--score-thr', 0.001, env=tiny.env,
    )  # fmt: skip
    assert cv2.imread(str(tmp_path / f'{image.stem}.jpg')).shape[0] > 500
    assert f'saved: {tmp_path}/{image.stem}.jpg' in done.stdout
    assert 'Warning' not in done.stderr, done.stderr


def test_featmap_command(tiny, tmp_path):
    folder, out = tmp_path / 'images', tmp_path / 'out'
    folder.mkdir()
    for image in tiny.images[:2]:
        (folder / image.name).symlink_to(image)
    done = run(
        'tools/featmap_vis_demo.py', folder, tiny.config, tiny.checkpoint, '--out-dir', out,
        '--target-layers', 'backbone', 'neck', '--channel-reduction', 'None', env=tiny.env,
    )  # fmt: skip
    assert len(list(out.iterdir())) == 2 == done.stdout.count('saved: ')
    assert 'Warning' not in done.stderr, done.stderr


def test_nothing_detected(tiny, tmp_path, in_process):
    args = [tiny.images[0], tiny.config, tiny.checkpoint, '--score-thr', 0.999]
    done = in_process('tools/boxam_vis_demo.py', *args, '--out-dir', tmp_path, env=tiny.env)
    assert done.status == 1 and not list(tmp_path.iterdir())
    assert 'no detection with a score of 0.999 or more (highest 0.' in done.err
    args += ['--method', 'eigencam', '--target-layers', 'backbone.stage4']
    done = in_process('tools/boxam_vis_demo.py', *args, '--out-dir', tmp_path, env=tiny.env)
    assert done.status == 0 and 'only the map is drawn' in done.err
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    'layer, message',
    [
        ('neck.out_conv[0]', 'did you mean neck.out_convs[0]'),
        ("__import__('os').system('touch pwned')", 'the model has no such layer'),
        ('neck', 'has 3 outputs, and gradcam takes one'),
    ],
)
def test_layer_mistakes(mistake, tiny, tmp_path, layer, message):
    args = [tiny.images[0], tiny.config, tiny.checkpoint, '--target-layers', layer]
    out = tmp_path / 'o'
    line = mistake('tools/boxam_vis_demo.py', *args, '--out-dir', out, env=tiny.env)
    assert message in line
    assert not (ROOT / 'pwned').exists() and not out.exists()


LIBRARY = """
import sys
import mmcompat, mmyolo, pytorch_grad_cam
from importlib.metadata import version
from functools import partial
from mmengine.config import Config
from mmyolo.utils.boxam_utils import *
import cv2
config, checkpoint, image = sys.argv[1:]
wrapper = BoxAMDetectorWrapper(Config.fromfile(config), checkpoint, 0.3, device="cpu")
image = cv2.imread(image)
wrapper.set_input_data(image)
found = wrapper()[0].pred_instances[:3]
for cls, grad in ((GradCAM, True), (GradCAMPlusPlus, True), (__import__("pytorch_grad_cam").EigenCAM, False)):
    visualizer = BoxAMDetectorVisualizer(cls, wrapper, [wrapper.detector.backbone.stage4], is_need_grad=grad,
        reshape_transform=partial(reshape_transform, max_shape=[-1], is_need_grad=grad), extra_params={})
    targets = [DetBoxScoreTarget(found, device="cpu", ignore_loss_params=["loss_cls"])]
    wrapper.need_loss(grad)
    wrapper.set_input_data(image, found)
    if grad:
        visualizer.switch_activations_and_grads(wrapper)
    am = visualizer(image, targets=targets)
    assert am.shape == image.shape[:2] and am.max() > 0.9, (cls, am.max())
    visualizer.cam.activations_and_grads.release()
print(mmyolo.__version__, pytorch_grad_cam.__path__[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'mmyolo, grad_cam',
    [  # '' is the pinned release; both pinned are what all else here uses
        ('mmyolo-0.5.0', ''),
        ('mmyolo-0.5.0', 'grad-cam-newest'),
        ('', 'grad-cam-newest'),
    ],
)
def test_mmyolos_own_box_am_with_other_releases(trained, mmyolo, grad_cam):
    """As MMYOLO's demo calls it: with 0.5.0 (and the mmdet 3.0.0 it insists on) and 0.6.0, with
    both grad-cams.
    """
    others = [OTHER / name for name in (mmyolo, grad_cam) if name]
    missing = [str(path) for path in others if not path.is_dir()]
    if missing:
        pytest.skip(f'{", ".join(missing)}: not there; make test installs it')
    path = ':'.join(map(str, others))
    args = map(str, (trained.config, trained.weights, trained.images[0]))
    env = {**os.environ, 'PYTHONPATH': path, 'BALLOON_ROOT': str(trained.root)}
    settings = dict(env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)
    done = subprocess.run([sys.executable, '-c', LIBRARY, *args], **settings)
    assert done.returncode == 0, done.stderr[-2000:]
    version, where = done.stdout.strip().splitlines()[-1].split(maxsplit=1)
    assert version == ('0.5.0' if mmyolo else '0.6.0')
    assert (Path(where).parent.name == grad_cam) == bool(grad_cam)
