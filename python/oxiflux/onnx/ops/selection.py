"""What is chosen by comparing: boxes that do not overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _core
from ..table import traced
from ..trace import Trace, Value


@traced("NonMaxSuppression")
def non_max_suppression(
    trace: Trace,
    boxes: Value,
    scores: Value,
    most: Value | None = None,
    overlap: Value | None = None,
    least: Value | None = None,
    *,
    center_point_box: int = 0,
) -> Value:
    count = 0 if most is None else int(trace.host(most).reshape(-1)[0])
    limit = 0.0 if overlap is None else float(trace.host(overlap).reshape(-1)[0])
    floor = None if least is None else float(trace.host(least).reshape(-1)[0])
    all_corners, all_scores = _corners(trace.host(boxes), bool(center_point_box)), trace.host(scores)
    found = [
        (batch, kind, place)
        for batch in range(all_scores.shape[0])
        for kind in range(all_scores.shape[1])
        for place in _kept(all_corners[batch], all_scores[batch, kind], count, limit, floor)
    ]
    return Value(_core.tensor(np.array(found, np.int64).reshape(-1, 3)))


def _corners(boxes: np.ndarray[Any, Any], is_centre: bool) -> np.ndarray[Any, Any]:
    if is_centre:
        x, y, w, h = np.moveaxis(boxes, -1, 0)
        return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=-1)
    y1, x1, y2, x2 = np.moveaxis(boxes, -1, 0)
    ends = (np.minimum(y1, y2), np.minimum(x1, x2), np.maximum(y1, y2), np.maximum(x1, x2))
    return np.stack(ends, axis=-1)


def _kept(
    boxes: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], count: int, limit: float, floor: float | None
) -> list[int]:
    """The places of the boxes that are kept, the best first."""
    order = np.argsort(-scores, kind="stable")
    if floor is not None:
        order = order[scores[order] > floor]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while order.size and len(kept) < count:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=-1)
        union = areas[best] + areas[order] - shared
        share = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        order = order[share <= limit]
    return kept
