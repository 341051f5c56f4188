"""GenEval's detector, Mask2Former, and its colour classifier, without mmcv; mmdet itself where it is installed."""
