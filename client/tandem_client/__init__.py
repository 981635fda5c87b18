"""Python client of Tandem.

    from tandem_client import Client, EventKind, event

    with Client("127.0.0.1:50051") as client:
        answer = client.recommend("user-1", count=10)
        client.record([event("user-1", answer.items[0].item_id, EventKind.EVENT_KIND_CLICK)])

Answers are the messages of `tandem.recommender.v1`, typed by the generated stubs.
"""

from tandem.recommender.v1.recommender_pb2 import EventKind, Level
from tandem_client.asynchronous import AsyncClient
from tandem_client.connection import TandemError
from tandem_client.requests import event, item, user
from tandem_client.synchronous import Client

__all__ = ["AsyncClient", "Client", "EventKind", "Level", "TandemError", "event", "item", "user"]
