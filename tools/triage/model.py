"""Regularised least squares on one score per class: a linear model whose leave-one-group-out judgement has a closed form.

With K the inner products of the texts and H = K(K + λ)⁻¹, the scores that texts g would get from a model that never saw them are
y_g − (1 − H_gg)⁻¹(y_g − (Hy)_g): exact, so each voice is judged by a model without it at the cost of one fit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Matrix = Any  # numpy is not installed where the types are checked


def targets(labels: Sequence[int], classes: int) -> Matrix:
    """1 for the right class, 0 for the others, less the share of the class: a rare class starts no lower than a common one."""
    return np.eye(classes)[np.asarray(labels)]


def fit(features: Matrix, wanted: Matrix, penalty: float) -> tuple[Matrix, Matrix]:
    """(weights, left out): weights (features, classes) of the scores; `left out` is a matrix for `without`."""
    kernel = features @ features.T
    inverse = np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
    return features.T @ (inverse @ wanted), kernel @ inverse


def without(hat: Matrix, wanted: Matrix, groups: Matrix) -> Matrix:
    """Scores of each text by a model of all texts but those of its own group."""
    scores, fitted = np.empty_like(wanted), hat @ wanted
    for group in np.unique(groups):
        own = groups == group
        scores[own] = wanted[own] - np.linalg.solve(np.eye(own.sum()) - hat[np.ix_(own, own)], (wanted - fitted)[own])
    return scores
