"""The URL configuration that tests start from; a test names its own with
``@pytest.mark.urls(__name__)``.
"""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
