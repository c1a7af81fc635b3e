"""Order more of every book with one of some tags."""

import sys

from django.core.management.base import BaseCommand, CommandError

from shop.models import Book


class Command(BaseCommand):
    help = "Order more of every book with one of some tags"

    def add_arguments(self, parser):
        parser.add_argument("count", type=int)
        parser.add_argument("--tag", action="append", dest="tags", default=None)
        parser.add_argument("--leave", type=int, default=None, help="leave with this status")

    def handle(self, *args, **options):
        if options["leave"] is not None:
            sys.exit(options["leave"])
        if options["count"] < 0:
            raise CommandError("a shop cannot order less than nothing")
        books = Book.objects.all()
        if options["tags"] is not None:
            books = books.filter(tags__word__in=options["tags"]).distinct()
        for book in books.order_by("title"):
            book.stock += options["count"]
            book.save()
            self.stdout.write(f"{book.title}: {book.stock}")
        self.stderr.write("restocked")
