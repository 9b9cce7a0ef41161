"""Pub/sub: pages get messages from other pages, tasks, commands and databases.

    class Orders(LiveView):
        def mount(self, request):
            self.subscribe("orders")

        def handle_info(self, message): ...         # {"id": 7}

    publish("orders", {"id": 7})    # from any thread; with Redis or PostgreSQL from any process

`hub` keeps who in this process has subscribed to what. A back end carries texts between processes:
`memory`, `redis` or `postgres`, chosen by `LIVEVIEW_CONFIG["pubsub"]`. Each process receives a
message once and puts it into the inbox of every view that has subscribed (`subscriptions`).
"""

from djust.pubsub.changes import Changed, model_changes
from djust.pubsub.hub import apublish, apush_event, publish, push_event
from djust.pubsub.subscriptions import MessagesMissed, Resubscribed

__all__ = [
    "Changed",
    "MessagesMissed",
    "Resubscribed",
    "apublish",
    "apush_event",
    "model_changes",
    "publish",
    "push_event",
]
