"""The demo: live views that talk with S3, REST APIs, a metrics service and Redis.

The code in `views/` is the guide's, unchanged. Everything around it exists to give these views real services to talk
with: `backing.py` starts them, `hosts.py` lets the guide's example hosts reach them, `__main__.py` runs it all.
"""
