"""Settings of the demo: no database, sessions and snapshots in memory."""

import os

SECRET_KEY = "the demo has no secrets"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "examples.services.urls"
ASGI_APPLICATION = "examples.services.asgi.application"
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "djust",
    "examples.services",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "examples.services.middleware.ContentSecurityPolicy",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    },
]

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"

# DEMO_WITHOUT_SOCKETS shows how pages do where no socket can be had.
LIVEVIEW_CONFIG = {"strict_serialization": True, "use_websocket": not os.environ.get("DEMO_WITHOUT_SOCKETS")}
