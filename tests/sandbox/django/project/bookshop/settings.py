"""A small shop. SQLite, or PostgreSQL where `bookshop.postgresql` is asked for."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("BOOKSHOP_SECRET_KEY", "not-a-real-key-but-long-enough-7391")
DEBUG = True
ALLOWED_HOSTS = ["localhost"]
PAYMENT_TOKEN = "tok_made_up_5561"
BROKER_URL = "amqp://worker:s3cr3t-broker@queue.invalid/shop"
MAIL = {"HOST": "mail.invalid", "PASSWORD": "made-up-mail-password"}

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "shop",
]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "bookshop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
