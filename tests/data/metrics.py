#!/usr/bin/env python3
"""Computes reference values of the metrics with public implementations.

    pip install numpy scipy scikit-image quantus pillow
    pip install --no-deps saliency==0.2.1 selectivesearch==0.4
    python metrics.py         # writes the folder metrics/

    a.npy, b.npy    float32 [24, 31]; b has ties and is correlated with a
    expected.txt    one metric per line: name, value

    picture.npy     uint8 [64, 80, 3], a crop of scikit-image's public-domain photograph of a cat
    weights.npy     float32 [64, 80, 3], a linear model of two classes: the probability of the first class is
                    sigmoid(sum(weights * picture / 255))
    scores.npy      float32 [64, 80], an attribution map of the picture
    information.txt areas under the SIC and the AIC curve: mean over 200 random masks, standard error

    map-0.npy ...   float32 [50, 70], smooth random maps
    segments-0.npy  the segments of the map as an 8-bit greyscale image
    boxes-0.txt     the boxes of selective search, one per line: left, top, right, bottom

Sources: Spearman from scipy.stats, SSIM from skimage.metrics, sparseness (Gini) from Quantus, SIC and AIC
from PAIR's saliency, segments from skimage.segmentation, boxes from selectivesearch, all others from numpy.
"""
import pathlib

import numpy as np
import quantus
import scipy.ndimage
import scipy.stats
import selectivesearch
import skimage.data
import skimage.metrics
import skimage.segmentation
import skimage.transform

np.trapz = np.trapezoid  # PAIR's package needs the name of numpy 1.
from saliency.metrics import pic

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

cat = skimage.data.chelsea()[20:276, 60:380]
picture = np.round(255 * skimage.transform.resize(cat, (64, 80), anti_aliasing=True)).astype(np.uint8)
values = picture / 255
detail = values - scipy.ndimage.gaussian_filter(values, (4, 4, 0))
weights = (6 * detail / np.sum(detail * values)).astype(np.float32)
strength = np.abs(detail.sum(axis=2))
scores = (scipy.ndimage.gaussian_filter(strength, 1) * random.uniform(0.5, 1, strength.shape)).astype(np.float32)
np.save(folder / "picture.npy", picture)
np.save(folder / "weights.npy", weights)
np.save(folder / "scores.npy", scores)


def probability(batch):
    return 1 / (1 + np.exp(-np.sum(weights.astype(np.float64) * (batch / 255.0), axis=(1, 2, 3))))


def areas(predict):
    np.random.seed(0)
    masks = [pic.generate_random_mask(64, 80, 0.01) for _ in range(200)]
    shares = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    return [pic.compute_pic_metric(picture, scores, mask, predict, shares).auc for mask in masks]


lines = []
for name, predict in [("sic", probability), ("aic", lambda batch: (probability(batch) > 0.9).astype(float))]:
    found = areas(predict)
    lines.append(f"{name}\t{np.mean(found)!r}\t{np.std(found) / np.sqrt(len(found))!r}")
(folder / "information.txt").write_text("\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n")
print("\n".join(lines))

for index, width in enumerate([1.5, 3, 6]):
    noise = scipy.ndimage.gaussian_filter(random.standard_normal((50, 70)), width)
    scores = np.abs(noise).astype(np.float32)
    np.save(folder / f"map-{index}.npy", scores)
    limit = np.float32(np.percentile(scores.astype(np.float64), 99))
    grey = np.round(255 * np.clip(scores / limit, 0, 1)).astype(np.uint8)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    settings = {"scale": 500, "sigma": 0.9, "min_size": 10}
    segments = skimage.segmentation.felzenszwalb(skimage.util.img_as_float(picture), **settings)
    np.save(folder / f"segments-{index}.npy", segments.astype(np.float32))
    _, regions = selectivesearch.selective_search(picture, **settings)
    boxes = {region["rect"] for region in regions}
    text = "".join(f"{x} {y} {x + w + 1} {y + h + 1}\n" for x, y, w, h in sorted(boxes))
    (folder / f"boxes-{index}.txt").write_text(text)
    print(index, segments.max() + 1, "segments", len(boxes), "boxes")
