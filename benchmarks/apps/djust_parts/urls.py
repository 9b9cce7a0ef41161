import views
from django.contrib.staticfiles.views import serve
from django.urls import path

urlpatterns = [
    path("w1/", views.CounterView.as_view()),
    path("w2/", views.TableView.as_view()),
    path("w3/", views.SearchView.as_view()),
    path("w4/", views.FormView.as_view()),
    path("w5/", views.DashboardView.as_view()),
    path("static/<path:path>", serve, {"insecure": True}),
]
