"""Non-maximum suppression, by the rules of mmcv/ops/csrc/pytorch/cpu/nms.cpp (2.0.1)."""

import torch
import torchvision


def nms(boxes, scores, iou_threshold, offset=0):
    """Indices (int64, K) of the boxes kept, best score first, as ``mmcv._ext.nms`` gives them.

    boxes: (N, 4) tensor of [x1, y1, x2, y2] in pixels; scores: (N,) tensor; offset: what a box's
    width and height are enlarged by (0, or 1 for the old inclusive pixel convention): both agree
    with torchvision once x2 and y2 have moved.
    """
    boxes = boxes.float() + boxes.new_tensor([0, 0, offset, offset], dtype=boxes.float().dtype)
    return torchvision.ops.nms(boxes, scores.float(), iou_threshold)


def softnms(boxes, scores, dets, iou_threshold, sigma, min_score, method, offset):
    """Lower the scores of boxes that overlap a better one, and drop those below ``min_score``.

    boxes: (N, 4); scores: (N,); dets: (N, 5), filled from the top with the boxes kept and their new
    scores, best first; method: 0 sets the score to 0, 1 multiplies by 1 - IoU, both from
    ``iou_threshold`` on, 2 by exp(-IoU² / sigma). Returns the indices (int64, K) of the boxes kept.
    """
    scores, left, kept = scores.clone(), torch.arange(len(boxes)), []
    grown = boxes + boxes.new_tensor([0, 0, offset, offset])
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept), :4], dets[len(kept), 4] = boxes[best], scores[best]
        kept.append(best)
        left = left[left != best]
        iou = torchvision.ops.box_iou(grown[best][None], grown[left])[0]
        if method == 2:
            weight = torch.exp(-(iou**2) / sigma)
        else:
            low = torch.zeros_like(iou) if method == 0 else 1 - iou
            weight = torch.where(iou >= iou_threshold, low, 1.0)
        scores[left] *= weight
        left = left[scores[left] >= min_score]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.long)


def nms_match(dets, iou_threshold):
    """Groups of indices, best score first: each box kept, then those that it suppresses.

    dets: (N, 5) tensor of [x1, y1, x2, y2, score] on the CPU. Returns a list of lists of int.
    """
    left, groups = dets[:, 4].argsort(descending=True), []
    while len(left):
        best, left = left[0], left[1:]
        hit = torchvision.ops.box_iou(dets[best, :4][None], dets[left, :4])[0] >= iou_threshold
        groups.append([int(best), *left[hit].tolist()])
        left = left[~hit]
    return groups
