"""Addresses of the shop."""

from django.urls import include, path, re_path

from shop import views

urlpatterns = [
    path("books/", views.BookList.as_view(), name="books"),
    path("books/<int:pk>/stock/", views.stock, name="stock"),
    re_path(r"^old/(?P<pk>[0-9]+)/$", views.stock, name="old-stock"),
    path("orders/", include([path("<int:pk>/<int:count>/", views.order, name="order")])),
]
