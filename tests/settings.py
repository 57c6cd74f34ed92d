"""Settings of the test suite: the product's own, with everything it writes in a place of its own.

Several runs, and the workers of one run, never meet: each has its own folder, its own database
name and its own prefix in Redis. The environment decides the database (``make test-services``).
"""

import atexit
import os
import shutil
import tempfile
import uuid
from pathlib import Path

os.environ.setdefault("TEST_RUN", uuid.uuid4().hex[:8])
if "TEST_VAR_DIR" not in os.environ:
    os.environ["TEST_VAR_DIR"] = tempfile.mkdtemp(prefix="heliograph-test-")
    _owner = os.getpid()
    # A forked child runs the same exit hooks; only the process that made the folder removes it.
    atexit.register(lambda: os.getpid() == _owner and shutil.rmtree(os.environ["TEST_VAR_DIR"], ignore_errors=True))
os.environ["VAR_DIR"] = str(Path(os.environ["TEST_VAR_DIR"]) / os.environ.get("PYTEST_XDIST_WORKER", "main"))
# A developer's own .env must not sway the tests.
os.environ["ENV_FILE"] = os.devnull
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ.setdefault("REDIS_PREFIX", f"heliograph-test-{os.environ['TEST_RUN']}:")

from config.settings import *  # noqa: F403
from config.settings import DATABASES, VAR_DIR

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, as in the product: the in-memory database locks whole tables between threads.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["TEST"] = {"NAME": f"heliograph_{os.environ['TEST_RUN']}"}

if not os.environ.get("REDIS_URL"):
    # No services: bells ring in memory, unheard; whoever tests the sweep calls it.
    CELERY_BROKER_URL = "memory://localhost/"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
