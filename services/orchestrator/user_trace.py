"""What was known of a user, as a message."""

from services.orchestrator.candidates import Query
from tandem.recommender.v1 import recommender_pb2 as pb


def encode_user_trace(query: Query) -> pb.UserTrace:
    """What an explained answer says of the user."""
    session, user = query.session, query.user
    trace = pb.UserTrace(
        version=session.version,
        events=session.events,
        friends_items=len(user.around.friends) if user else 0,
        region=user.region if user else query.region,
    )
    if session.newest is not None:
        trace.newest.FromMicroseconds(round(session.newest * 1e6))
    return trace
