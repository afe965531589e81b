"""Similar films, by what they are about and by who made them.

What films are about is compared by latent semantic analysis (Deerwester et al., 1990): TF-IDF of the words of the
overview, of keywords and of genres, reduced by a truncated SVD, so that related words make films similar as well.
People and collections are compared without a reduction, which would lose names that only few films share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from horror_pipeline.domain import SIMILAR_FILMS

Floats = NDArray[np.float32]

ABOUT = {"overview": 1.0, "keywords": 1.0, "genres": 0.5}
"""Weight of each text in what a film is about."""

SHARES = {"directors": 0.15, "cast_names": 0.1, "collection_id": 0.25}
"""Part of the score for agreement in each of these; what the films are about makes up the rest. The collection counts
most, so that the parts of a series are similar even if their plots share no word."""

TOPICS = 100
"""Dimensions that the texts are reduced to."""

HIGHEST_FREQUENCY = 0.5
"""A word, genre or name that more than this share of the films have is ignored."""

FILMS_A_BLOCK = 256
"""Films compared with all others at once, so that memory does not grow with the square of the number of films."""

SCORE_DECIMALS = 4


def similar_movies(films: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Find the films nearest to each film.

    Args:
        films: rows of `movies`, in the order of `tmdb_id`: `tmdb_id`, and the columns of `ABOUT` and `SHARES`.
        seed: seed of the SVD.

    Returns:
        `tmdb_id`, `rank` from 1, `similar_tmdb_id` and `score` from 0 to 1: at most `SIMILAR_FILMS` rows for each film,
        without films that it has nothing in common with.
    """
    ids = films["tmdb_id"].to_numpy("int64")
    with threadpool_limits(limits=1):
        about = _about(films, seed)
        shared = _shared(films)
        blocks = list(_nearest(about, shared, min(SIMILAR_FILMS, len(films) - 1))) if len(films) > 1 else []
    if not blocks:
        return pd.DataFrame({"tmdb_id": ids[:0], "rank": ids[:0], "similar_tmdb_id": ids[:0], "score": []})
    near, score = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    rank = np.broadcast_to(np.arange(1, near.shape[1] + 1), near.shape)
    film = np.broadcast_to(ids[:, None], near.shape)
    is_alike = score > 0
    values = {"tmdb_id": film, "rank": rank, "similar_tmdb_id": ids[near], "score": score}
    return pd.DataFrame({name: column[is_alike] for name, column in values.items()})


def _about(films: pd.DataFrame, seed: int) -> Floats:
    """Return what each film is about as a vector of length 1, or of zeros where it has no texts."""
    words = CountVectorizer(stop_words="english").build_analyzer()
    texts = {"overview": words, "keywords": list, "genres": list}
    parts = [_tfidf(films[name], texts[name]) * weight for name, weight in ABOUT.items()]
    matrix = sparse.hstack(parts, format="csr", dtype=np.float32)
    if not matrix.nnz:
        return np.zeros((len(films), 1), dtype="float32")
    if matrix.shape[1] <= TOPICS:
        return np.asarray(normalize(matrix).toarray(), dtype="float32")
    topics = TruncatedSVD(TOPICS, random_state=seed).fit_transform(matrix)
    return np.asarray(normalize(topics), dtype="float32")


def _shared(films: pd.DataFrame) -> sparse.csr_matrix:
    """Return the people and the collection of each film, scaled so that the product of two rows is part of a score."""
    as_list: dict[str, Callable[[Any], Iterable[str]]] = {"directors": list, "cast_names": list}
    parts = [
        _tfidf(films[name], as_list.get(name, lambda value: [str(value)])) * float(np.sqrt(share))
        for name, share in SHARES.items()
    ]
    return sparse.hstack(parts, format="csr", dtype=np.float32)


def _tfidf(values: pd.Series, words_of: Callable[[Any], Iterable[str]]) -> sparse.csr_matrix:
    """Compute TF-IDF in rows of length 1, ignoring words that only one film or most films have."""
    unknown = values.isna().tolist()
    documents = [[] if unknown[place] else list(words_of(value)) for place, value in enumerate(values)]
    nothing = sparse.csr_matrix((len(documents), 0), dtype=np.float32)
    if not any(documents):
        return nothing
    counts = CountVectorizer(analyzer=list, dtype=np.float32).fit_transform(documents)
    films_with = np.bincount(counts.indices, minlength=counts.shape[1])
    is_used = (films_with > 1) & (films_with <= max(2, HIGHEST_FREQUENCY * len(documents)))
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, is_used]) if is_used.any() else nothing


def _nearest(about: Floats, shared: sparse.csr_matrix, count: int) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    """Yield the positions and scores of the nearest films for each block of films, the nearest first."""
    of_about, transposed = 1 - sum(SHARES.values()), shared.T.tocsr()
    for start in range(0, len(about), FILMS_A_BLOCK):
        block = slice(start, start + FILMS_A_BLOCK)
        scores = np.maximum(0, about[block] @ about.T) * of_about
        common = (shared[block] @ transposed).tocoo()
        scores[common.row, common.col] += common.data
        films = np.arange(len(scores))
        scores[films, start + films] = -1  # no film resembles itself
        near = np.sort(np.argpartition(scores, -count, axis=1)[:, -count:], axis=1)
        score = np.take_along_axis(scores, near, axis=1).round(SCORE_DECIMALS)
        order = np.argsort(-score, axis=1, kind="stable")
        yield np.take_along_axis(near, order, axis=1), np.take_along_axis(score, order, axis=1)
