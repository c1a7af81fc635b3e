"""A Django app: put `ostiary.django_app` into INSTALLED_APPS, and `manage.py ostiary` is there."""
