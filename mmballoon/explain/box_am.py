"""Box AM of one detector: MMYOLO's mmyolo.utils.boxam_utils is called, and its maps are put in place.

Methods that use gradients (gradcam, gradcam++) weight the activations of a layer by the gradient of
the box loss with respect to the detections themselves. The others take the principal component of the
activations (eigencam), or switch channels off one by one and watch the scores (ablationcam).
"""

from functools import partial

import numpy as np
import torch
from mmengine import MessageHub
from mmengine.runner import CheckpointLoader
from mmyolo.utils.boxam_utils import (
    BoxAMDetectorVisualizer,
    BoxAMDetectorWrapper,
    DetAblationLayer,
    DetBoxScoreTarget,
    GradCAM,
    GradCAMPlusPlus,
    reshape_transform,
)
from pytorch_grad_cam import AblationCAM, EigenCAM

from mmballoon.cli import UserError
from mmballoon.explain.maps import capture_outputs, find_layer, map_to_image
from mmballoon.inference import prepare
from mmballoon.train.rules.weights_match import require_match

GRAD_BASED = {'gradcam': GradCAM, 'gradcam++': GradCAMPlusPlus}
METHODS = {**GRAD_BASED, 'eigencam': EigenCAM, 'ablationcam': AblationCAM}
# Losses that say nothing about the box, by the family of the head: the choices of MMYOLO's demo.
IGNORED_LOSSES = {
    'yolov5': ['loss_obj'],
    'yolov6': ['loss_cls'],
    'yolov7': ['loss_obj'],
    'yolov8': ['loss_cls'],
    'yolox': ['loss_obj'],
    'ppyoloe': ['loss_cls'],
    'rtmdet': ['loss_cls'],
}


class BatchWrapper(BoxAMDetectorWrapper):
    """MMYOLO's wrapper that also accepts a batch, so ablationcam can test several channels at once."""

    def __call__(self, batch=None):
        count = 1 if batch is None else len(batch)
        if self.is_need_loss or count == 1:
            return super().__call__(batch)
        single = self.input_data
        samples = [single['data_samples'][0].clone() for _ in range(count)]
        self.input_data = dict(inputs=single['inputs'] * count, data_samples=samples)
        try:
            return super().__call__(batch)
        finally:
            self.input_data = single


class BoxAM:
    """A detector with a Box AM method.

    Args:
        cfg: Config of the detector.
        checkpoint: path of its weights.
        method: a key of METHODS.
        max_shape: [height, width] to which activations are scaled down to save memory, or [-1].
        ablation: batch_size and ratio_channels_to_ablate of ablationcam.

    Raises:
        UserError: a head that MMYOLO's demo does not know, or one with masks and a method with gradients.
    """

    def __init__(
        self, cfg, checkpoint, method='gradcam', device='cpu', max_shape=(-1,), **ablation
    ):
        self.method = method
        self.needs_grad = method in GRAD_BASED
        self.device = device
        self.max_shape = list(max_shape)
        self.ablation = ablation
        self.wrapper = BatchWrapper(cfg, checkpoint, 0, device=device)
        require_match(self.wrapper.detector, CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
        self.detector = prepare(self.wrapper.detector, fuse=False)
        head = type(self.detector.bbox_head).__name__
        families = [name for name in IGNORED_LOSSES if head.lower().startswith(name)]
        if not families:
            known = ', '.join(IGNORED_LOSSES)
            raise UserError(f'{head}: Box AM knows the heads of {known}; next: use one of these')
        if self.needs_grad and hasattr(self.detector.bbox_head, 'loss_mask'):
            raise UserError(
                f'{head}: {method} needs the loss, and that of this head takes masks besides the boxes; '
                'next: --method eigencam'
            )
        self.ignored_losses = IGNORED_LOSSES[families[0]]
        MessageHub.get_current_instance().update_info('epoch', 0)  # some heads' losses read it

    def detect(self, image, names=()):
        """Detections on an image ((H, W, 3) uint8 BGR): a DetDataSample, boxes [x1, y1, x2, y2] in pixels.

        Raises:
            UserError: a layer in ``names`` that is not there or does not fit the method.
        """
        layers = [find_layer(self.detector, name) for name in names]
        self.wrapper.need_loss(False)
        self.wrapper.set_input_data(image)
        (sample,), outputs = capture_outputs(layers, self.wrapper)
        for name, calls in zip(names, outputs):
            self._check_layer(name, calls)
        sample.pred_instances.pop('masks', None)  # drawn masks would hide the heat
        return sample

    def _check_layer(self, name, calls):
        """calls: the tensors that the layer put out, a list per call."""
        problem = None
        if not calls:
            problem = 'takes no part in detecting'
        elif len(calls) > 1:
            problem = f'is called {len(calls)} times per image, once for each stride'
        elif not calls[0] or any(tensor.ndim != 4 for tensor in calls[0]):
            problem = 'its output is no feature map (1, C, H, W)'
        elif self.needs_grad and len(calls[0]) > 1:
            problem = f'has {len(calls[0])} outputs, and {self.method} takes one'
        if problem:
            raise UserError(
                f'--target-layers {name}: {problem}; next: name a single layer, such as '
                'backbone.stage4 or neck.out_convs[0]'
            )

    def heat(self, image, sample, names):
        """The mean heat of some layers on an image: (H, W) float32, from 0 to 1, with maximum 1, or all 0.

        sample: what ``detect`` returned, with those detections that are to be explained.
        """
        instances = sample.pred_instances
        reshape = partial(reshape_transform, max_shape=self.max_shape, is_need_grad=self.needs_grad)
        visualizer = BoxAMDetectorVisualizer(
            METHODS[self.method],
            self.wrapper,
            [find_layer(self.detector, name) for name in names],
            is_need_grad=self.needs_grad,
            reshape_transform=reshape,
            extra_params=dict(self.ablation, ablation_layer=DetAblationLayer()),
        )
        target = DetBoxScoreTarget(
            instances, device=self.device, ignore_loss_params=self.ignored_losses
        )
        self.wrapper.need_loss(self.needs_grad)
        self.wrapper.set_input_data(image, instances)
        if self.needs_grad:
            visualizer.switch_activations_and_grads(self.wrapper)
        # The wrapper feeds the network itself. Only the size of this array counts: the map comes back
        # over the padded input of the network.
        heat = visualizer(np.zeros((*sample.batch_input_shape, 3), np.float32), [target])
        visualizer.cam.activations_and_grads.release()
        heat = map_to_image(np.nan_to_num(heat), sample.metainfo)
        return heat / heat.max() if heat.max() > 0 else heat

    def strides(self, image, instances):
        """Sorted strides of the outputs that made these detections: their scores occur there."""
        self.detect(image)
        inputs = self.detector.data_preprocessor(self.wrapper.input_data, False)['inputs']
        with torch.no_grad():
            class_scores = self.detector.bbox_head(self.detector.extract_feat(inputs))[0]
        strides = set()
        for score in instances.scores:
            distances = [(level.sigmoid() - score).abs().min().item() for level in class_scores]
            level = class_scores[int(np.argmin(distances))]
            strides.add(round(inputs.shape[-1] / level.shape[-1]))
        return sorted(strides)
