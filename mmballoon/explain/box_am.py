"""Box AM of one detector: what its detections depend on, drawn where it is on the image.

Methods that use gradients (gradcam, gradcam++) weight the activations of a layer by the gradient of
the box loss with respect to the detections themselves: MMYOLO's mmyolo.utils.boxam_utils computes them.
layercam takes the gradient of the scores. The others take the principal component of the activations
(eigencam), or switch channels off one by one and watch the scores (ablationcam).
"""

from functools import partial

import numpy as np
import torch
from mmdet.apis import init_detector
from mmdet.models.dense_heads import RTMDetHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine import MessageHub
from mmyolo.utils import boxam_utils
from pytorch_grad_cam import AblationCAM, EigenCAM

from mmballoon.cli import UserError
from mmballoon.explain.maps import bracketed, capture_outputs, find_layer, map_to_image
from mmballoon.inference import prepare


class TurnedEigenCAM(EigenCAM):
    """EigenCAM, turned so that strong activations are hot: a principal component has no sign."""

    def get_cam_image(self, input_tensor, target_layer, targets, activations, *args):
        component = super().get_cam_image(input_tensor, target_layer, targets, activations, *args)
        strength = np.linalg.norm(activations, axis=1)
        strength -= strength.mean((1, 2), keepdims=True)
        agrees = (component * strength).sum((1, 2), keepdims=True) >= 0
        return np.where(agrees, component, -component)


GRAD_BASED = {'gradcam': boxam_utils.GradCAM, 'gradcam++': boxam_utils.GradCAMPlusPlus}
METHODS = {**GRAD_BASED, 'eigencam': TurnedEigenCAM, 'ablationcam': AblationCAM}  # and layercam
# Losses that say nothing about the box, by the family of the head: the choices of MMYOLO's demo.
IGNORED_LOSSES = dict.fromkeys(('yolov5', 'yolov7', 'yolox'), ['loss_obj'])
IGNORED_LOSSES |= dict.fromkeys(('yolov6', 'yolov8', 'ppyoloe', 'rtmdet'), ['loss_cls'])
# What is drawn where no layer is named: the layers of these that a model has.
DEFAULT_LAYERS = [
    *('backbone.stage4', 'backbone.layer4', 'backbone.stages[3]'),
    *(f'neck.{convs}[{i}]' for convs in ('out_convs', 'fpn_convs', 'convs') for i in range(3)),
]


class Wrapper(boxam_utils.BoxAMDetectorWrapper):
    """MMYOLO's wrapper, also for a batch (ablationcam tests several channels at once), and for
    detectors without a ``bbox_head``.
    """

    def __call__(self, batch=None):
        if self.is_need_loss:
            return super().__call__(batch)
        count = 1 if batch is None else len(batch)
        (sample,) = self.input_data['data_samples']
        samples = [sample, *(sample.clone() for _ in range(count - 1))]
        self.detector.eval()  # the loss sets the head to training
        with torch.no_grad():
            inputs = self.input_data['inputs'] * count
            return self.detector.test_step(dict(inputs=inputs, data_samples=samples))


class BoxAM:
    """A detector with a Box AM method.

    Args:
        cfg: Config of the detector.
        checkpoint: path of its weights.
        method: 'layercam', or a key of METHODS.
        ablation: batch_size and ratio_channels_to_ablate of ablationcam.

    Raises:
        UserError: a head that the method does not know.
    """

    def __init__(self, cfg, checkpoint, method='gradcam', device='cpu', **ablation):
        self.method, self.device, self.needs_grad = method, device, method in GRAD_BASED
        self.cam_class = METHODS.get(method)
        if method == 'ablationcam':
            layer = boxam_utils.DetAblationLayer()
            self.cam_class = partial(AblationCAM, ablation_layer=layer, **ablation)
        boxam_utils.init_detector = init_detector  # MMDetection's, which our rules check
        self.wrapper = Wrapper(cfg, checkpoint, 0, device=device)
        self.detector = prepare(self.wrapper.detector, fuse=False)
        if self.needs_grad:  # through a backbone whose stages are all frozen, too
            self.detector.backbone.register_forward_pre_hook(
                lambda module, inputs: tuple(tensor.requires_grad_() for tensor in inputs)
            )
        MessageHub.get_current_instance().update_info('epoch', 0)  # some heads' losses read it
        # Some detectors have no ``bbox_head``.
        head = getattr(self.detector, 'bbox_head', None) or self.detector
        self.head_name = type(head).__name__
        families = [name for name in IGNORED_LOSSES if self.head_name.lower().startswith(name)]
        self.ignored_losses = [loss for name in families for loss in IGNORED_LOSSES[name]]
        if self.needs_grad and not families:
            raise self._unknown(f'{method} knows the heads of {", ".join(IGNORED_LOSSES)}')
        if self.needs_grad and hasattr(head, 'loss_mask'):
            found = 'needs the loss, and that of this head takes masks besides the boxes'
            raise self._unknown(f'{method} {found}')
        if method == 'layercam' and not isinstance(head, BaseDenseHead):
            raise self._unknown('layercam needs a head that scores each place of the feature maps')

    def _unknown(self, found):
        advice = '--method eigencam, which works with any detector'
        return UserError(self.head_name, found, advice)

    def default_layers(self):
        """[[name]] of the DEFAULT_LAYERS that this detector has; for layercam, the whole backbone.

        Raises:
            UserError: it has none.
        """
        if self.method == 'layercam':
            return [['backbone']]
        known = {bracketed(name) for name, _ in self.detector.named_modules()}
        layers = [[name] for name in DEFAULT_LAYERS if name in known]
        if not layers:
            raise UserError('--target-layers', 'no layer is named', '--preview-model lists them')
        return layers

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
            advice = 'name a single layer, such as backbone.stage4 or neck.out_convs[0]'
            raise UserError(f'--target-layers {name}', problem, advice)

    def heat(self, image, sample, names):
        """The heat of some layers on an image: (H, W) float32, from 0 to 1, with maximum 1, or all 0.

        sample: what ``detect`` returned, with those detections that are to be explained. layercam takes
        the largest value of the layers, the other methods their mean.
        """
        layers = [find_layer(self.detector, name) for name in names]
        method = self._layercam if self.method == 'layercam' else self._by_mmyolo
        heat = method(image, sample, layers)
        return heat / heat.max() if heat.max() > 0 else heat

    def _by_mmyolo(self, image, sample, layers):
        grad, instances = self.needs_grad, sample.pred_instances
        reshape = partial(boxam_utils.reshape_transform, max_shape=[-1], is_need_grad=grad)
        ignored = dict(ignore_loss_params=self.ignored_losses)
        target = boxam_utils.DetBoxScoreTarget(instances, device=self.device, **ignored)
        self.wrapper.need_loss(grad)
        self.wrapper.set_input_data(image, instances)
        cam = self.cam_class(self.wrapper, layers, reshape_transform=reshape)
        # The wrapper feeds the network itself. Only the size of this tensor counts: the map comes back
        # over the padded input of the network.
        heat = cam(torch.zeros(1, 3, *sample.batch_input_shape), [target])[0]
        cam.activations_and_grads.release()
        return map_to_image(np.nan_to_num(heat), sample.metainfo)

    def _layercam(self, image, sample, layers):
        """LayerCAM (Jiang et al., 2021, https://doi.org/10.1109/TIP.2021.3089943) of the sum of the scores:
        at each place, the activations times their gradients where these are positive.
        """
        inputs = self._inputs(image).requires_grad_()  # all layers of a backbone may be frozen
        outputs, calls = capture_outputs(layers, lambda: self._head(inputs))
        head = self.detector.bbox_head
        # Other heads multiply their scores by a third output, or put them through a softmax.
        plain = len(outputs) == 2 and getattr(head, 'use_sigmoid_cls', False)
        if not isinstance(head, RTMDetHead) and not plain:
            found = 'its scores are not those of the classes alone, so not for layercam'
            raise self._unknown(found)
        scores = [score for _, score in self._origins(outputs[0], sample.pred_instances)]
        tensors = [tensor for outputs in calls for tensor in outputs[0]]
        gradients = torch.autograd.grad(sum(scores), tensors, allow_unused=True)
        heat = np.zeros(sample.ori_shape[:2], np.float32)
        for activation, gradient in zip(tensors, gradients):
            if gradient is not None:
                level = (activation * gradient.relu()).sum(1).relu()[0].detach().cpu().numpy()
                level = map_to_image(level, sample.metainfo)
                heat = np.maximum(heat, level / (level.max() or 1))
        return heat

    def strides(self, image, instances):
        """Sorted strides of the outputs that made these detections: their scores occur there."""
        inputs = self._inputs(image)
        with torch.no_grad():
            outputs = self._head(inputs)[0]
        widths = {outputs[level].shape[-1] for level, _ in self._origins(outputs, instances)}
        return sorted(round(inputs.shape[-1] / width) for width in widths)

    def _inputs(self, image):
        """The network's input (1, 3, H, W) of an image."""
        self.wrapper.need_loss(False)
        self.wrapper.set_input_data(image)
        self.detector.eval()
        return self.detector.data_preprocessor(self.wrapper.input_data, False)['inputs']

    def _head(self, inputs):
        return self.detector.bbox_head(self.detector.extract_feat(inputs))

    def _origins(self, outputs, instances):
        """[(level, its score (tensor))] of detections: where their scores occur in the head's output.

        outputs: [(1, anchors * classes, h, w)] before the sigmoid, one of each level.
        """
        origins, step = [], self.detector.bbox_head.cls_out_channels
        for score, label in zip(instances.scores, instances.labels):
            of_class = [level.sigmoid()[0, label::step].flatten() for level in outputs]
            nearest = [scores[(scores - score).abs().argmin()] for scores in of_class]
            level = int(np.argmin([abs((value - score).item()) for value in nearest]))
            origins.append((level, nearest[level]))
        return origins
