"""What is on the shelves when the shop opens."""

from django.db import migrations

BOOKS = (
    ("Persuasion", "Jane Austen", "9.50", 3, ("novel",)),
    ("Emma", "Jane Austen", "8.00", 5, ("novel", "comedy")),
    ("The Time Machine", "H. G. Wells", "7.25", 0, ("novel", "science")),
)


def fill(apps, editor):
    author, tag, book = (apps.get_model("shop", name) for name in ("Author", "Tag", "Book"))
    for title, name, price, stock, words in BOOKS:
        writer, _ = author.objects.get_or_create(name=name)
        made = book.objects.create(title=title, author=writer, price=price, stock=stock)
        made.tags.set([tag.objects.get_or_create(word=word)[0] for word in words])


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
