"""The network that is exported: from uint8 images to detections, with nothing left to do around it."""

import torch
import torchvision
from torch import nn


@torch.library.custom_op('mmballoon::suppress', mutates_args=())
def suppress(
    boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, score_threshold: float
) -> torch.Tensor:
    """The scores after non-maximum suppression per image and class; 0 where a box is dropped.

    boxes: (N, P, 4), x1 y1 x2 y2. scores: (N, C, P). Returns (N, C, P). Its shape does not depend on
    the data, so that the exporter can follow it; in ONNX this is the operator NonMaxSuppression.
    """
    kept = torch.zeros_like(scores)
    for image, label in torch.cartesian_prod(*map(torch.arange, scores.shape[:2])):
        above = (scores[image, label] > score_threshold).nonzero()[:, 0]
        best = torchvision.ops.nms(boxes[image, above], scores[image, label, above], iou_threshold)
        kept[image, label, above[best]] = scores[image, label, above[best]]
    return kept


@suppress.register_fake
def _(boxes, scores, iou_threshold, score_threshold):
    return torch.empty_like(scores)


class Network(nn.Module):
    """RTMDet from letterboxed images to boxes (and masks), as MMDetection computes it.

    Follows BaseDenseHead._predict_by_feat_single and _bbox_post_process of MMDetection 3.3.0, for a
    fixed image size and for whole batches.

    Args:
        model: the detector, in evaluation mode.
        size: height and width of the images, in pixels.
        test_cfg: nms_pre, score_thr, nms.iou_threshold and max_per_img.
    """

    def __init__(self, model, size, test_cfg):
        super().__init__()
        head, preprocessor = model.bbox_head, model.data_preprocessor
        self.model, self.size, self.test_cfg = model, size, test_cfg
        self.swap = preprocessor._channel_conversion
        self.coder = head.bbox_coder
        self.register_buffer('mean', preprocessor.mean.float(), persistent=False)
        self.register_buffer('std', preprocessor.std.float(), persistent=False)
        shapes = [(size // s[1], size // s[0]) for s in head.prior_generator.strides]
        grids = head.prior_generator.grid_priors(shapes, device='cpu', with_stride=True)
        self.register_buffer('cells', grids[0][:, :2].T, persistent=False)  # of the finest level
        priors, strides = torch.cat(grids).split([2, 2], 1)
        self.register_buffer('priors', priors, persistent=False)
        self.register_buffer('strides', strides[:, :1], persistent=False)

    def forward(self, images):
        """Detect.

        Args:
            images: (N, size, size, 3) uint8, BGR.

        Returns:
            boxes (N, K, 4) float32, x1 y1 x2 y2 in pixels of ``images``; scores (N, K) float32, in
            descending order; labels (N, K) int64. K is max_per_img. Unused places have score 0,
            label -1 and a box of zeros. From RTMDet-Ins also the logits of masks (N, K, size / 8,
            size / 8) float32; those of unused places mean nothing.
        """
        pixels = images.permute(0, 3, 1, 2).float()
        if self.swap:
            pixels = pixels.flip(1)
        pixels = ((pixels - self.mean) / self.std).to(next(self.model.parameters()).dtype)
        all_scores, all_distances, *of_masks = self.model(pixels)
        scores = [self.keep_best(s.float().flatten(2).sigmoid()) for s in all_scores]
        scores = torch.cat(scores, 2)  # (N, C, P)
        distances = [d.float().flatten(2) for d in all_distances]
        boxes = self.decode(torch.cat(distances, 2).transpose(1, 2))  # (N, P, 4)
        *detections, index = self.select(boxes, scores)
        return *detections, *([self.draw_masks(*of_masks, index)] if of_masks else [])

    def keep_best(self, scores):
        """Scores (N, C, P) of one level, 0 for all but the best ``nms_pre`` of an image."""
        limit = self.test_cfg.get('nms_pre', -1)
        if not 0 < limit < scores.shape[1] * scores.shape[2]:
            return scores
        lowest = scores.flatten(1).topk(limit).values[:, -1, None, None]
        return torch.where(scores >= lowest, scores, 0)

    def decode(self, distances):
        """Boxes (N, P, 4) of the distances left, top, right, bottom (N, P, 4) from each prior."""
        low = self.priors - distances[..., :2]
        high = self.priors + distances[..., 2:]
        boxes = torch.cat([low, high], 2)
        return boxes.clamp(0, self.size) if self.coder.clip_border else boxes

    def select(self, boxes, scores):
        """The detections that are kept, of boxes (N, P, 4) and scores (N, C, P).

        Returns boxes (N, K, 4), scores (N, K), labels (N, K), and the priors (N, K) that they come from.
        """
        smallest = self.test_cfg.get('min_bbox_size', -1)
        if smallest >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            scores = torch.where((sides > smallest).all(2)[:, None], scores, 0)
        nms = self.test_cfg['nms']
        kept = suppress(boxes, scores, nms['iou_threshold'], self.test_cfg['score_thr'])
        places = min(self.test_cfg['max_per_img'], scores.shape[1] * scores.shape[2])
        scores, index = kept.flatten(1).topk(places)
        used = scores > 0
        labels = torch.where(used, index // boxes.shape[1], -1)
        index = index % boxes.shape[1]
        boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
        return torch.where(used[..., None], boxes, 0), scores, labels, index

    def draw_masks(self, all_kernels, features, index):
        """Logits (N, K, h, w) of the masks of the priors ``index`` (N, K).

        Follows RTMDetInsHead._mask_predict_by_feat_single: each detection has its own 1 x 1 convolutions,
        over the features (N, C, h, w) and the way to its prior. Here they are products of matrices,
        because the number of groups of a convolution must be known when it is exported.
        """
        head, (height, width) = self.model.bbox_head, features.shape[2:]
        kernels = torch.cat([k.float().flatten(2) for k in all_kernels], 2).transpose(1, 2)
        kernels = kernels.gather(1, index[..., None].expand(-1, -1, kernels.shape[2]))
        parts = kernels.split([*head.weight_nums, *head.bias_nums], 2)
        layers = len(parts) // 2
        offsets = self.priors[index][..., None] - self.cells  # (N, K, 2, h * w)
        offsets = offsets / (8 * self.strides[index][..., None])
        features = features.float().flatten(2)[:, None].expand(-1, index.shape[1], -1, -1)
        x = torch.cat([offsets, features], 2)
        for i, (weights, biases) in enumerate(zip(parts[:layers], parts[layers:])):
            x = weights.unflatten(2, (biases.shape[2], -1)) @ x + biases[..., None]
            x = x if i == layers - 1 else x.relu()
        return x.unflatten(3, (height, width))[:, :, 0]
