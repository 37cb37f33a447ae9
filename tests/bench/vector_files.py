"""Vectors in the formats of ann-benchmarks, and synthetic ones."""

import numpy as np

INTRINSIC_DIMENSIONS = 48
CLUSTERS = 500
NEIGHBOURS = 10
# Rows that are made, or compared with all queries, at a time: a million vectors need not fit into memory twice.
BLOCK_ROWS = 50_000


def read_rows(path, kind):
    """All rows of an fvecs (kind "<f4") or ivecs ("<i4") file."""
    words = np.fromfile(path, "<i4")
    rows = words.reshape(-1, words[0] + 1)[:, 1:]
    return np.ascontiguousarray(rows).view(kind)


def append_rows(file, rows):
    width = np.full((len(rows), 1), rows.shape[1], "<i4")
    np.concatenate([width, np.ascontiguousarray(rows).view("<i4")], axis=1).tofile(file)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f4")


class Clustered:
    """Unit vectors in clusters of few dimensions, as embeddings of texts are; the same ones every time."""

    def __init__(self, dimensions):
        self.chance = np.random.default_rng(0)
        self.basis = self.normal(INTRINSIC_DIMENSIONS, dimensions) / np.sqrt(INTRINSIC_DIMENSIONS).astype("f4")
        self.centres = self.normal(CLUSTERS, INTRINSIC_DIMENSIONS)

    def normal(self, *shape):
        return self.chance.standard_normal(shape, dtype="f4")

    def sample(self, count):
        place = self.centres[self.chance.integers(0, CLUSTERS, count)] + 0.9 * self.normal(count, INTRINSIC_DIMENSIONS)
        return unit(place @ self.basis + 0.35 * self.normal(count, self.basis.shape[1]))


class Nearest:
    """The nearest rows of each query among all that were shown."""

    def __init__(self, queries):
        self.queries = queries
        self.scores = np.zeros((len(queries), 0), "f4")
        self.rows = np.zeros((len(queries), 0), "<i4")
        self.shown = 0

    def show(self, rows):
        numbers = np.broadcast_to(np.arange(self.shown, self.shown + len(rows), dtype="<i4"), (len(self.queries), len(rows)))
        scores = np.concatenate([self.scores, self.queries @ rows.T], axis=1)
        numbers = np.concatenate([self.rows, numbers], axis=1)
        best = np.argpartition(-scores, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        self.scores, self.rows = (np.take_along_axis(all, best, 1) for all in (scores, numbers))
        self.shown += len(rows)


def make_files(folder, count, queries, dimensions):
    """Writes base.fvecs, query.fvecs and truth.ivecs."""
    source = Clustered(dimensions)
    asked = source.sample(queries)
    nearest = Nearest(asked)
    with open(folder / "base.fvecs", "wb") as file:
        for start in range(0, count, BLOCK_ROWS):
            rows = source.sample(min(BLOCK_ROWS, count - start))
            nearest.show(rows)
            append_rows(file, rows)
    with open(folder / "query.fvecs", "wb") as file:
        append_rows(file, asked)
    with open(folder / "truth.ivecs", "wb") as file:
        append_rows(file, nearest.rows)
