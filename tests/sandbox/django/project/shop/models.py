"""Books, who wrote them, and what they are about."""

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)
    born = models.DateField(null=True, blank=True)

    objects = models.Manager()

    def __str__(self) -> str:
        return str(self.name)


class Tag(models.Model):
    word = models.SlugField(unique=True)

    objects = models.Manager()

    def __str__(self) -> str:
        return str(self.word)


class Book(models.Model):
    title = models.CharField(max_length=200)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    tags = models.ManyToManyField(Tag, blank=True, related_name="books")
    price = models.DecimalField(max_digits=7, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)

    objects = models.Manager()

    def __str__(self) -> str:
        return str(self.title)
