"""Which moments to take for the descriptors that are wished for."""

import numpy as np

# Variances of the wishes, how far the mean may stay from them for the sake of variety: where one is moved, and not.
_SLACK, _LOOSE = 0.02, 0.06
_STEPS = 50
_CLOSE = 1e-8


def tilted(values: np.ndarray, wish: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Log weights [W] of the moments under which the mean of `values` [W, K] is `wish` [K], nearly.

    `moved` [K] tells what is wished to change from what is to stay where it is.

    Of all such weights those nearest to equal ones (maximum entropy, Jaynes 1957): proportional to exp(values @ tilt),
    and the tilt is the minimum of a convex function, found by Newton's method. What no weights can reach is approached:
    the wish is taken to be uncertain (Dudík, Phillips and Schapire 2004, "Performance guarantees for
    regularized maximum entropy density estimation"). Values and wish are in standard deviations of the corpus.
    """
    centred = values - values.mean(0)
    target = wish - values.mean(0)
    tilt, slack = np.zeros(values.shape[1]), np.where(moved, _SLACK, _LOOSE)

    def cost(tilt: np.ndarray) -> float:
        return np.logaddexp.reduce(centred @ tilt) - target @ tilt + slack @ np.square(tilt) / 2

    for _ in range(_STEPS):
        weights, mean = _weighted(centred, tilt)
        slope = mean - target + slack * tilt
        spread = (centred * weights[:, None]).T @ centred - np.outer(mean, mean)
        step = np.linalg.solve(spread + np.diag(slack), slope)
        step *= min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))  # far from the minimum a whole step goes too far
        # And so does a shorter one where an outlier takes all the weight: halved until the cost falls (Armijo's rule).
        here = cost(tilt)
        while cost(tilt - step) > here - 0.1 * slope @ step and np.abs(step).max() > _CLOSE:
            step = step / 2
        tilt = tilt - step
        if np.abs(step).max() < _CLOSE:
            break
    scores = centred @ tilt
    return scores - np.logaddexp.reduce(scores)


def _weighted(values: np.ndarray, tilt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = values @ tilt
    weights = np.exp(scores - np.logaddexp.reduce(scores))
    return weights, weights @ values
