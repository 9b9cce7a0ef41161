"""The demo: live views that talk with S3, REST APIs, a metrics service and Redis.

The code in `views/` is that of the guide in `tests/seed/`, unchanged. The other modules give these
views real services: `backing.py` starts them, `hosts.py` leads the example hosts of the guide to
them, and `__main__.py` runs everything.
"""
