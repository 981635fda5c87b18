"""Metrics of the features service, beside those every service has."""

from prometheus_client import Counter

REPAIRED_SESSIONS = Counter(
    "tandem_features_repaired_sessions",
    "Sessions that readers found missing or old, and computed from the log.",
)

TREND_EVENTS = Counter(
    "tandem_features_trend_events", "Events of the log that the trend of this replica took in."
)

LOST_OFFLINE_SESSIONS = Counter(
    "tandem_features_lost_offline_sessions",
    "Sessions that are not in the offline store: the buffer was full, or a part was not written.",
)
