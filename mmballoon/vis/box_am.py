"""Box AM of one detector: MMYOLO's mmyolo.utils.boxam_utils, called, with its maps put in the right
place.

Grad-based methods (gradcam, gradcam++) weigh a layer's activations by the gradient of the box loss
towards the detections themselves; grad-free ones take their principal component (eigencam) or
switch channels off one after the other and watch the detections' scores (ablationcam).
"""

from functools import partial

import numpy as np
import torch
from mmengine import MessageHub
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

from mmballoon.errors import UserError
from mmballoon.vis.maps import capture_outputs, find_layer, map_to_image

GRAD_BASED = {'gradcam': GradCAM, 'gradcam++': GradCAMPlusPlus}
METHODS = {**GRAD_BASED, 'eigencam': EigenCAM, 'ablationcam': AblationCAM}
# Losses that say nothing about the box, by the head's family, as in MMYOLO's demo.
IGNORED_LOSSES = dict(
    yolov5=['loss_obj'], yolov6=['loss_cls'], yolox=['loss_obj'], rtmdet=['loss_cls']
)


class Wrapper(BoxAMDetectorWrapper):
    """MMYOLO's wrapper, which also takes a batch: AblationCAM then ablates that many channels at a
    time.
    """

    def __call__(self, batch=None):
        count = 1 if batch is None else len(batch)
        if self.is_need_loss or count == 1:
            return super().__call__(batch)
        single = self.input_data
        self.input_data = dict(
            inputs=single['inputs'] * count,
            data_samples=[single['data_samples'][0].clone() for _ in range(count)],
        )
        try:
            return super().__call__(batch)
        finally:
            self.input_data = single


class BoxAM:
    """A detector with a method: detects on a picture, then draws what a layer contributed to the
    detections.

    cfg: Config; checkpoint: path; method: a key of METHODS; max_shape: [h, w] or [-1], the size to
    which activations are scaled down to save memory; batch_size and ratio_channels_to_ablate: of
    ablationcam.
    """

    def __init__(
        self,
        cfg,
        checkpoint,
        method='gradcam',
        device='cpu',
        max_shape=(-1,),
        batch_size=1,
        ratio_channels_to_ablate=0.5,
    ):
        self.method, self.needs_grad, self.device = method, method in GRAD_BASED, device
        self.wrapper = Wrapper(cfg, checkpoint, 0, device=device)
        self.max_shape = list(max_shape)
        self.ablation = dict(
            batch_size=batch_size, ratio_channels_to_ablate=ratio_channels_to_ablate
        )
        family = type(self.detector.bbox_head).__name__.lower()
        self.ignored = next(
            (losses for name, losses in IGNORED_LOSSES.items() if family.startswith(name)), None
        )
        if self.ignored is None:
            raise UserError(
                f'{type(self.detector.bbox_head).__name__}: Box AM knows the heads of '
                f'{", ".join(IGNORED_LOSSES)}; next: pass the config of one of these'
            )
        MessageHub.get_current_instance().update_info('epoch', 0)  # some heads' losses ask for it

    @property
    def detector(self):
        return self.wrapper.detector

    def detect(self, image):
        """Detections on a picture ((H, W, 3) uint8 BGR): DetDataSample, boxes [x1, y1, x2, y2] in
        its pixels.
        """
        self.wrapper.need_loss(False)
        self.wrapper.set_input_data(image)
        return self.wrapper()[0]

    def detect_through(self, names, image):
        """The layers of these names and what ``detect`` returns; a UserError where one does not fit
        the method.
        """
        layers = [find_layer(self.detector, name) for name in names]
        sample, found = capture_outputs(layers, lambda: self.detect(image))
        for name, outputs in zip(names, found):
            why = None
            if not outputs:
                why = 'takes no part in detecting'
            elif len(outputs) > 1:
                why = f'works {len(outputs)} times an image, once a stride, and has {len(outputs)} maps'
            elif any(tensor.ndim != 4 for tensor in outputs[0]) or not outputs[0]:
                why = 'puts out no feature map (1, C, H, W)'
            elif self.needs_grad and len(outputs[0]) > 1:
                why = f'puts out {len(outputs[0])} maps, and {self.method} takes one'
            if why:
                raise UserError(
                    f'--target-layers {name}: {why}; next: name a single layer, as backbone.stage4 or '
                    'neck.out_convs[0]'
                )
        return layers, sample

    def heat(self, image, sample, instances, layers):
        """The layers' mean heat on a picture: (H, W) float32 from 0 to 1, its largest value 1, or
        all 0.

        sample: what ``detect`` returned; instances: those of its detections that are to be
        explained; layers: list of modules.
        """
        visualizer = BoxAMDetectorVisualizer(
            METHODS[self.method],
            self.wrapper,
            layers,
            is_need_grad=self.needs_grad,
            reshape_transform=partial(
                reshape_transform, max_shape=self.max_shape, is_need_grad=self.needs_grad
            ),
            extra_params=dict(self.ablation, ablation_layer=DetAblationLayer()),
        )
        targets = [
            DetBoxScoreTarget(instances, device=self.device, ignore_loss_params=self.ignored)
        ]
        self.wrapper.need_loss(self.needs_grad)
        self.wrapper.set_input_data(image, instances)
        if self.needs_grad:
            visualizer.switch_activations_and_grads(self.wrapper)
        # The wrapper feeds the network itself; of this only the size counts: maps come back over
        # the padded input.
        heat = visualizer(np.zeros((*sample.batch_input_shape, 3), np.float32), targets)
        visualizer.cam.activations_and_grads.release()
        self.wrapper.need_loss(False)
        heat = map_to_image(np.nan_to_num(heat), sample.metainfo)
        return heat / heat.max() if heat.max() > 0 else heat

    def strides(self, image, instances):
        """Strides (sorted list of int) whose outputs made these detections: a score there is a
        score here.
        """
        self.detect(image)
        inputs = self.detector.data_preprocessor(self.wrapper.input_data, False)['inputs']
        with torch.no_grad():
            levels = [
                level.sigmoid()
                for level in self.detector.bbox_head(self.detector.extract_feat(inputs))[0]
            ]
        made_by = [
            min(levels, key=lambda level, score=score: float((level - score).abs().min()))
            for score in instances.scores
        ]
        return sorted({round(inputs.shape[-1] / level.shape[-1]) for level in made_by})
