"""Addresses of the whole project."""

from django.urls import include, path
from shop import views

urlpatterns = [
    path("", views.front, name="front"),
    path("shop/", include(("shop.urls", "shop"), namespace="shop")),
]
