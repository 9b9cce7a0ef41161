"""Publish and subscribe: pages hear from other pages, tasks, commands and databases.

    class Orders(LiveView):
        def mount(self, request):
            self.subscribe("orders")

        def handle_info(self, message): ...         # {"id": 7}

    publish("orders", {"id": 7})                    # from any thread, and with Redis or PostgreSQL any process

`hub` keeps who listens to what in this process. A back end carries texts between processes: `memory`, `redis` and
`postgres`, chosen by `LIVEVIEW_CONFIG["pubsub"]`. What was subscribed to is received once per process and handed to the
`inbox` of every view that listens.
"""

from djust.pubsub.changes import Changed, model_changes
from djust.pubsub.hub import apublish, apush_event, publish, push_event
from djust.pubsub.inbox import Resubscribed

__all__ = ["Changed", "Resubscribed", "apublish", "apush_event", "model_changes", "publish", "push_event"]
