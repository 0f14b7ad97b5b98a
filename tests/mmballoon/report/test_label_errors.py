"""Label errors planted in annotations that the detections otherwise agree with."""

import pytest

from mmballoon.report.label_errors import suspects

BOXES = [[10, 10, 40, 40], [100, 10, 44, 40], [200, 10, 40, 44]]


def rows(boxes=BOXES, image=1, category=1, **extra):
    return [
        dict(image_id=image, category_id=category, bbox=box, iscrowd=0, **extra) for box in boxes
    ]


def annotations(*lists):
    return dict(annotations=[dict(a, id=i) for i, a in enumerate(sum(lists, []), start=1)])


def test_nothing_where_both_agree():
    assert suspects(annotations(rows()), rows(score=0.9)) == []
    assert suspects(annotations(), []) == []


# Trust in a detection: the share of correct ones among the others, and its own score as one more.
TRUST = (6 + 0.9) / 7


@pytest.mark.parametrize(
    'kind, truth, found, suspicion, iou',
    [
        # In image 2, each error stands beside an annotation that is found.
        ('missing_annotation', [], [dict(bbox=[300, 300, 40, 40])], TRUST, None),
        ('never_found', [dict(bbox=[300, 300, 40, 40])], [], (5 + 0.9) / 6, None),
        # Moved by half of its width: the two share a third.
        (
            'moved',
            [dict(bbox=[300, 300, 40, 40])],
            [dict(bbox=[320, 300, 40, 40])],
            TRUST * 2 / 3,
            1 / 3,
        ),
        (
            'wrong_label',
            [dict(bbox=[300, 300, 40, 40])],
            [dict(bbox=[300, 300, 40, 40], category_id=2)],
            TRUST,
            1,
        ),
    ],
)
def test_a_planted_error_comes_first(kind, truth, found, suspicion, iou):
    image = dict(image_id=2, category_id=1, iscrowd=0)
    data = annotations(rows(), rows(image=2), [image | a for a in truth])
    detections = rows(score=0.9) + rows(image=2, score=0.9)
    detections += [image | dict(score=0.9) | d for d in found]
    first = suspects(data, detections)[0]
    assert (first['kind'], first['image_id']) == (kind, 2)
    assert first['bbox'] == (found or truth)[0]['bbox']
    assert first['iou'] == (iou if iou is None else pytest.approx(iou))
    assert first['suspicion'] == pytest.approx(suspicion)


def test_after_a_short_training_all_scores_are_low():
    truth = annotations(*[rows(image=image) for image in range(1, 6)])
    truth['annotations'].pop()  # the last box of the last image
    found = [row for image in range(1, 6) for row in rows(image=image, score=0.05)]
    first = suspects(truth, found)[0]
    assert (first['kind'], first['bbox'], first['image_id']) == ('missing_annotation', BOXES[2], 5)


def test_an_object_that_such_a_detector_seldom_finds_is_no_suspect():
    """Of six annotations of one size, none is found: this is the detector's fault."""
    data = annotations(rows(), rows(image=2))
    assert [s for s in suspects(data, []) if s['kind'] == 'never_found'] == []


def test_worst_first_and_a_crowd_is_no_error():
    data = annotations(rows(), [dict(rows()[0], image_id=2, iscrowd=1, bbox=[0, 0, 100, 100])])
    found = rows(score=0.9) + rows([[10, 10, 20, 20]], image=2, score=0.8)
    found += [
        *rows([[300, 300, 9, 9]], image=1, score=0.3),
        *rows([[300, 300, 9, 9]], image=2, score=0.6),
    ]
    assert [s['score'] for s in suspects(data, found)] == [0.6, 0.3]


def test_two_boxes_on_one_thing_are_one_suspect():
    found = rows([[10, 10, 40, 40], [12, 10, 40, 40]], score=0.9)
    assert len(suspects(annotations(), found)) == 1


SECOND = [[14, 10, 40, 40], [104, 10, 44, 40], [204, 10, 40, 44]]  # overlaps BOXES by 0.8


def test_second_detections_of_objects_lend_no_trust_to_one_where_nothing_is_annotated():
    """A box half beside a certain detection is a better suspect than a detection of low score."""
    images = range(1, 8)
    data = annotations(*[rows(image=image) for image in images])
    data['annotations'][0]['bbox'] = [30, 10, 40, 40]
    found = [row for image in images for row in rows(image=image, score=0.9)]
    found += [row for image in images for row in rows(SECOND, image=image, score=0.3)]
    found += rows([[300, 300, 40, 40]], score=0.3)
    first, *others = suspects(data, found)
    assert first['kind'] == 'moved' and first['suspicion'] > 0.5
    assert all(other['suspicion'] < 0.4 for other in others)


def test_a_detection_of_low_score_defends_its_annotation():
    """Where most boxes of 0.3 are second ones, an annotation that has one is still found."""
    images = range(1, 8)
    data = annotations(*[rows(image=image) for image in images])
    found = [row for image in images for row in rows(image=image, score=0.9)][1:]
    found += [row for image in images for row in rows(SECOND, image=image, score=0.3)]
    assert [s for s in suspects(data, found) if s['kind'] == 'never_found'] == []


def test_a_box_of_the_wrong_class_on_each_object_defends_no_label():
    """A network scores each class: its second box on an object has another class and a low score."""
    images = range(1, 30)
    data = annotations(*[rows(image=image, category=1 + image % 2) for image in images])
    found = [dict(a, score=0.9) for a in data['annotations']]
    found += [dict(a, score=0.3, category_id=3 - a['category_id']) for a in data['annotations']]
    wrong = data['annotations'][40]
    wrong['category_id'] = 3 - wrong['category_id']
    (first,) = suspects(data, found)
    assert first['kind'] == 'wrong_label' and first['bbox'] == wrong['bbox']
    assert first['suspicion'] > 0.9


def test_a_detector_that_mixes_up_the_classes_accuses_no_label():
    data = annotations(*[rows(image=image) for image in range(1, 8)])
    found = [row for image in range(1, 8) for row in rows(image=image, category=2, score=0.9)]
    assert suspects(data, found) == []


def test_all_detections_in_a_crowd_are_correct():
    crowd = [dict(row, iscrowd=1) for row in rows([[0, 0, 300, 100]])]
    found = rows(score=0.9) + rows(SECOND, score=0.9)
    found += rows([[400, 300, 40, 40]], score=0.9)
    suspicion = suspects(annotations(crowd), found)[0]['suspicion']
    assert suspicion == pytest.approx((6 + 0.9) / 7)
