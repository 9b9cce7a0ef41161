"""The ASGI application: `uvicorn examples.services.asgi:application`."""

import os

from djust.asgi import get_asgi_application

# Not setdefault(): a variable left over from another project must not change what the demo shows.
os.environ["DJANGO_SETTINGS_MODULE"] = "examples.services.settings"

application = get_asgi_application()
