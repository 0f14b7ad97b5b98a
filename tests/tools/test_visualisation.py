"""The two visualisation tools as commands, and whether a Box AM is honest."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, run

OTHER = ROOT / '.venv/other'  # more releases of mmyolo and grad-cam, put there by `make test`


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """A detector that has learned its 16 rendered pictures, in about a minute of two cores."""
    from conftest import Tiny

    root = tmp_path_factory.mktemp('trained')
    run('data_tools/make_toy_balloons.py', '--out', root, '--train', 16, '--val', 4, '--seed', 3)
    run('data_tools/balloon2coco.py', '--data-root', root)
    toy = Tiny(root)
    run(
        'tools/train.py',
        toy.config,
        '--work-dir',
        toy.work_dir,
        '--cfg-options',
        'train_cfg.max_epochs=60',
        'train_cfg.val_interval=60',
        'default_hooks.checkpoint.interval=60',
        'param_scheduler.1.end=60',
        'param_scheduler.1.T_max=60',
        env=toy.env,
        timeout=600,
    )
    toy.images = sorted((root / 'train').glob('*.jpg'))
    return toy


def box_am(toy, method='gradcam', **kwargs):
    import mmballoon.patches.grad_cam  # noqa: F401

    from mmengine.config import Config

    from mmballoon.vis.box_am import BoxAM

    return BoxAM(
        Config.fromfile(toy.config), str(next(toy.work_dir.glob('epoch_*.pth'))), method, **kwargs
    )


def explainable(am, toy, thr=0.3):
    """[(image, sample, instances)] of the pictures with detections."""
    found = []
    for path in toy.images:
        image = cv2.imread(str(path))
        sample = am.detect(image)
        instances = sample.pred_instances[sample.pred_instances.scores > thr]
        if len(instances):
            found.append((image, sample, instances))
    return found


def inside_over_outside(heat, boxes):
    mask = np.zeros(heat.shape, bool)
    for x1, y1, x2, y2 in np.int32(np.clip(boxes.cpu().numpy(), 0, None)):
        mask[y1:y2, x1:x2] = True
    return heat[mask].mean() / max(heat[~mask].mean(), 1e-9)


def test_the_heat_is_where_the_detections_are_and_belongs_to_the_weights(trained, capsys):
    """Sanity checks of Adebayo et al., 2018 (https://arxiv.org/abs/1810.03292): other weights,
    another map.
    """
    am = box_am(trained)
    rows = []
    for image, sample, instances in explainable(am, trained)[:4]:
        strides = am.strides(image, instances)
        layers, _ = am.detect_through(
            [f'neck.out_convs[{(8, 16, 32).index(s)}]' for s in strides], image
        )
        rows.append((image, sample, instances, layers, am.heat(image, sample, instances, layers)))
    assert len(rows) == 4, 'the toy detector found too little'
    ratio = float(
        np.median(
            [inside_over_outside(heat, instances.bboxes) for _, _, instances, _, heat in rows]
        )
    )
    same, random_ratio = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        for module in am.detector.modules():
            if hasattr(module, 'reset_parameters'):
                module.reset_parameters()
        for image, sample, instances, layers, heat in rows:
            other = am.heat(image, sample, instances, layers)
            same.append(
                np.corrcoef(heat.ravel(), other.ravel())[0, 1] if other.any() else 0
            )  # a blank map is another
            random_ratio.append(inside_over_outside(other, instances.bboxes))
    same, random_ratio = float(np.mean(same)), float(np.median(random_ratio))
    with capsys.disabled():
        print(
            f'\nheat inside / outside the boxes: {ratio:.1f} trained, {random_ratio:.1f} with random weights; '
            f'correlation of the maps {same:.2f}'
        )
    assert ratio >= 2
    assert same < 0.5


@pytest.mark.parametrize('method', ['gradcam', 'gradcam++', 'eigencam', 'ablationcam'])
def test_methods(trained, method):
    am = box_am(trained, method, batch_size=4, ratio_channels_to_ablate=0.1)
    image, sample, instances = explainable(am, trained)[0]
    heat = am.heat(image, sample, instances, am.detect_through(['neck.out_convs[0]'], image)[0])
    assert heat.shape == image.shape[:2] and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() in (0, 1)


def test_ablation_in_batches_gives_the_same_map(trained):
    results = []
    for batch_size in (1, 5):
        am = box_am(trained, 'ablationcam', batch_size=batch_size, ratio_channels_to_ablate=0.1)
        image, sample, instances = explainable(am, trained)[0]
        results.append(
            am.heat(image, sample, instances, am.detect_through(['neck.out_convs[0]'], image)[0])
        )
    assert results[0].max() == 1 and np.abs(results[0] - results[1]).max() < 0.02


def test_commands_draw_titled_figures(trained, tmp_path):
    image, checkpoint = trained.images[0], next(trained.work_dir.glob('epoch_*.pth'))
    done = run(
        'tools/boxam_vis_demo.py',
        image,
        trained.config,
        checkpoint,
        '--out-dir',
        tmp_path / 'am',
        '--norm-in-bbox',
        '--topk',
        2,
        env=trained.env,
    )
    assert cv2.imread(str(tmp_path / f'am/{image.stem}.jpg')).shape[0] > 500
    assert (
        f'saved: {tmp_path}/am/{image.stem}.jpg' in done.stdout and 'Warning' not in done.stderr
    ), done.stderr
    done = run(
        'tools/featmap_vis_demo.py',
        trained.root / 'val',
        trained.config,
        checkpoint,
        '--target-layers',
        'backbone',
        'neck',
        '--channel-reduction',
        'None',
        '--out-dir',
        tmp_path / 'fm',
        env=trained.env,
    )
    assert len(list((tmp_path / 'fm').iterdir())) == 4 == done.stdout.count('saved: ')
    assert 'Warning' not in done.stderr, done.stderr


def test_nothing_detected(trained, tmp_path, monkeypatch, capsys):
    import boxam_vis_demo

    monkeypatch.setenv('BALLOON_ROOT', str(trained.root))
    args = [
        str(trained.images[0]),
        str(trained.config),
        str(next(trained.work_dir.glob('epoch_*.pth'))),
        '--score-thr',
        '0.999',
        '--out-dir',
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as stop:
        boxam_vis_demo.main(args)
    assert stop.value.code == 1 and not list(tmp_path.iterdir())
    assert 'no detection with a score of 0.999 or more (highest 0.' in capsys.readouterr().err
    boxam_vis_demo.main([*args, '--method', 'eigencam'])
    assert (
        'the map alone is drawn' in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1
    )


@pytest.mark.parametrize(
    'layer, message',
    [
        ('neck.out_conv[0]', 'did you mean neck.out_convs[0]'),
        ("__import__('os').system('touch pwned')", 'the model has no such layer'),
        ('neck', 'puts out 3 maps, and gradcam takes one'),
    ],
)
def test_layer_mistakes(mistake, trained, tmp_path, layer, message):
    checkpoint = next(trained.work_dir.glob('epoch_*.pth'))
    assert message in mistake(
        'tools/boxam_vis_demo.py',
        trained.images[0],
        trained.config,
        checkpoint,
        '--target-layers',
        layer,
        '--out-dir',
        tmp_path / 'o',
        env=trained.env,
    )
    assert not (ROOT / 'pwned').exists() and not (tmp_path / 'o').exists()


LIBRARY = """
import sys
import mmballoon.patches.grad_cam, mmyolo, pytorch_grad_cam
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
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            LIBRARY,
            str(trained.config),
            str(next(trained.work_dir.glob('epoch_*.pth'))),
            str(trained.images[0]),
        ],
        env=dict(PYTHONPATH=path, PATH='', BALLOON_ROOT=str(trained.root)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    version, where = done.stdout.strip().splitlines()[-1].split(maxsplit=1)
    assert version == ('0.5.0' if mmyolo else '0.6.0') and (
        Path(where).parent.name == grad_cam
    ) == bool(grad_cam)
