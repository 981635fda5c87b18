"""Metrics of answers, beside those every service has."""

import numpy as np
from prometheus_client import Counter, Histogram

from services.orchestrator.candidates import PREDICTION
from services.orchestrator.pipeline import Level, Slate

ANSWERS = Counter("tandem_answers", "Answers with items, by their level.", ["method", "level"])
for _level in Level:  # from 0 on: rates know no increase from nothing
    ANSWERS.labels("Recommend", _level.name)

DROPPED = Counter("tandem_dropped_candidates", "Candidates that a filter or rule kept out.", ["by"])

TOP_SCORES = Histogram(
    "tandem_top_scores",
    "Highest score of each slate that was ranked, as answered.",
    buckets=[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 5, 10],
)


def count_slate(slate: Slate) -> None:
    """Counts an answer to Recommend."""
    ANSWERS.labels("Recommend", slate.record.level.name).inc()
    for dropped in slate.record.dropped:
        DROPPED.labels(dropped.by).inc(len(dropped.rows))
    top = np.max(slate.chosen.columns.get(PREDICTION, ()), initial=-np.inf)
    if np.isfinite(top):
        TOP_SCORES.observe(top)
