"""The same shop on a PostgreSQL server whose unix socket the variables name."""

import os

from bookshop.settings import *  # noqa: F403 - everything but the database is the same

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["BOOKSHOP_DB_NAME"],
        "HOST": os.environ["BOOKSHOP_DB_HOST"],
        "PORT": os.environ["BOOKSHOP_DB_PORT"],
        "USER": os.environ["BOOKSHOP_DB_USER"],
        "PASSWORD": os.environ.get("BOOKSHOP_DB_PASSWORD", ""),
    }
}
