from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path
from django.views.generic import TemplateView

from djust.routing import live_session
from examples.services.metrics import get_metrics_client
from examples.services.views.catalog import ProductCatalogView
from examples.services.views.dashboard import DashboardView
from examples.services.views.leaderboard import LeaderboardView
from examples.services.views.s3 import S3View
from examples.services.views.s3_browser import S3BrowserView
from examples.services.views.weather import WeatherView

urlpatterns = [
    path("", TemplateView.as_view(template_name="index.html"), name="index"),
    path("s3/", S3BrowserView.as_view(), name="s3"),
    path("files/", S3View.as_view(), name="files"),
    path("catalog/", ProductCatalogView.as_view(), name="catalog"),
    path("dashboard/", live_session(DashboardView, metrics_client=get_metrics_client), name="dashboard"),
    path("weather/", WeatherView.as_view(), name="weather"),
    path("leaderboard/", LeaderboardView.as_view(), name="leaderboard"),
    *staticfiles_urlpatterns(),
]
