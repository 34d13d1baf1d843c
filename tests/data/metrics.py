#!/usr/bin/env python3
"""Metrics of two small maps, by the public implementations that people compare with.

    pip install numpy scipy scikit-image quantus
    python metrics.py         # writes metrics/

    a.npy, b.npy    float32 [24, 31]; b has ties, and follows a in part
    expected.txt    one metric per line: name, value

Spearman from scipy.stats, SSIM from skimage.metrics, Sparseness from Quantus, the rest from numpy.
"""
import pathlib

import numpy as np
import quantus
import scipy.stats
import skimage.metrics

folder = pathlib.Path(__file__).parent / "metrics"
folder.mkdir(exist_ok=True)
random = np.random.default_rng(20261123)
a = random.standard_normal((24, 31)).astype(np.float32)
b = np.round(0.6 * a + 0.8 * random.standard_normal((24, 31)), 1).astype(np.float32)
np.save(folder / "a.npy", a)
np.save(folder / "b.npy", b)

x, y = a.astype(np.float64), b.astype(np.float64)
rank = scipy.stats.spearmanr(x.ravel(), y.ravel())
few = scipy.stats.spearmanr(x.ravel()[:12], y.ravel()[:12])
both = np.concatenate([x, y])
unit = x / np.linalg.norm(x) - y / np.linalg.norm(y)
strongest = [set(np.argsort(-np.abs(v).ravel(), kind="stable")[: round(0.05 * v.size)]) for v in (x, y)]
sparseness = quantus.Sparseness(disable_warnings=True)
expected = {
    "spearman": rank.statistic,
    "spearman p of 12": few.pvalue,
    "paired t p": scipy.stats.ttest_rel(x.ravel()[:40], y.ravel()[:40]).pvalue,
    "ssim": skimage.metrics.structural_similarity(x, y, win_size=7, data_range=both.max() - both.min()),
    "gini": sparseness.evaluate_batch(x_batch=x[None], a_batch=np.abs(x)[None])[0],
    "unit distance": np.linalg.norm(unit),
    "overlap": len(strongest[0] & strongest[1]) / len(strongest[0]),
}
lines = [f"{name}\t{float(value)!r}" for name, value in expected.items()]
(folder / "expected.txt").write_text("\n".join(lines) + "\n")
print("\n".join(lines))
