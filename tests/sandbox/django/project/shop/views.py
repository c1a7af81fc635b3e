"""Pages of the shop."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_http_methods
from django.views.generic import ListView

from shop.models import Book


def front(request: HttpRequest) -> HttpResponse:
    return HttpResponse("welcome")


@require_GET
def stock(request: HttpRequest, pk: int) -> JsonResponse:
    return JsonResponse({"stock": Book.objects.get(pk=pk).stock})


@require_http_methods(["POST", "PUT"])
def order(request: HttpRequest, pk: int, count: int) -> HttpResponse:
    return HttpResponse(status=202)


class BookList(ListView):
    model = Book
