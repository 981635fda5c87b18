"""Scores: computed again by the release on what was logged, against those that were logged."""

import numpy as np

from models.final_score import FinalScorer, release_scorer
from models.release import ReleaseError
from training.skew.differences import largest
from training.skew.findings import SCORE_TOLERANCE, Parity, ScoreSkew


def compare_scores(found: Parity) -> None:
    """Compares the scores of all requests, into `found`."""
    scorers: dict[str, FinalScorer | None] = {}
    for asked in found.asked:
        release, request_id = asked.query.release, asked.row.request_id
        if release.release_id not in scorers:
            try:
                scorers[release.release_id] = release_scorer(release)
            except ReleaseError:
                scorers[release.release_id] = None
        scorer = scorers[release.release_id]
        if scorer is None:
            found.skipped["scores: damaged release"] += 1
            continue
        skew = found.scores.setdefault(release.release_id, ScoreSkew(release.release_id))
        message = asked.served.message
        rows = np.array(message.ranked_rows, np.int32)
        boosts = np.array(message.ranked_boosts or [0.0] * len(rows), np.float32)
        scores = np.array(message.ranked_scores, np.float32) - boosts
        # What only a fallback knew may have come after ranking.
        ranked = np.isin(rows, np.array(message.found[0].rows if message.found else [], np.int32))
        whole = ranked & (rows < len(release.items)) & np.isfinite(scores)
        skew.skipped += int((ranked & ~whole).sum())
        if not whole.any():
            continue
        again = scorer.score(asked.logged, rows[whole])
        apart = largest(abs(again - scores[whole]) / np.maximum(1.0, abs(again)))
        skew.requests += 1
        skew.scores += int(whole.sum())
        skew.largest = max(skew.largest, apart)
        if apart > SCORE_TOLERANCE and not skew.example:
            skew.example = request_id
