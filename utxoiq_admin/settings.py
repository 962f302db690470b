"""Every setting, each an environment variable with a default that works embedded.

A secret may come from a file: `X_FILE` names it and wins over `X` (django-environ's FileAwareEnv).
Without DATABASE_URL or REDIS_URL the address is read from `stack.json`, which `manage.py up` writes into the
data folder, so that every command finds the running embedded servers by itself.
"""

import json
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from utxoiq_admin.beat_schedule import beat_schedule
from utxoiq_admin.navigation import UNFOLD  # noqa: F401

BASE_DIR = Path(__file__).resolve().parent.parent


class Environment(environ.FileAwareEnv):
    """The environment; a value that cannot be read is refused by its name."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError as error:
            raise ImproperlyConfigured(f"The setting {var} cannot be read: {error}.") from None
        except OSError as error:
            raise ImproperlyConfigured(f"The file that {var}_FILE names cannot be read: {error}.") from None


env = Environment()


def secret(name: str, default: str = "") -> str:
    """The value of `name` or of the file that `name`_FILE names, without the newline an editor leaves."""
    return env.str(name, default=default).strip()


def stack_addresses(data_dir: Path) -> dict[str, str]:
    """What the running `up` wrote down: `database_url` and `redis_url`; empty when none was started."""
    try:
        return dict(json.loads((data_dir / "stack.json").read_text()))
    except (OSError, ValueError):
        return {}


# --- Where things are ---------------------------------------------------------------------------------------
DATA_DIR = Path(env.str("UTXOIQ_DATA_DIR", default=str(BASE_DIR / ".data"))).resolve()
STACK = stack_addresses(DATA_DIR)
EMBEDDED_DATABASE = not secret("DATABASE_URL")

# --- Security -----------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
INSECURE_SECRET_KEY = "insecure-key-for-commands-that-need-none"  # noqa: S105  (refused by utxoiq_admin.E001)
SECRET_KEY_PATH = DATA_DIR / "secret_key"
SECRET_KEY = secret("SECRET_KEY") or (
    SECRET_KEY_PATH.read_text().strip() if SECRET_KEY_PATH.exists() else INSECURE_SECRET_KEY
)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=False)  # behind a proxy that ends TLS and sets X-Forwarded-Proto
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

# --- The parts ----------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "utxoiq_admin.apps.OperationsAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",
    "django_celery_beat",
    "utxoiq_admin.stack",
    "utxoiq_admin.core",
    "utxoiq_admin.accounts",
    "backfill",
    "feedback",
    "metrics",
    "utxoiq_admin.retention",
    "utxoiq_admin.monitoring",
    "utxoiq_admin.demo",
    "utxoiq_admin.apps.PlatformConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "utxoiq_admin.core.outage.OutageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "utxoiq_admin.urls"
WSGI_APPLICATION = "utxoiq_admin.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "home"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["utxoiq_admin.core.templatetags.display"],
        },
    }
]

# --- PostgreSQL ---------------------------------------------------------------------------------------------
# The pool is per process and only for the web: Celery closes a pool around every task, and a command has one
# thread. A threaded process never holds more connections than threads, so the sum is WEB_PROCESSES x
# WEB_THREADS, held under the description's 10 + 20 by default.
IS_WEB = env.bool("UTXOIQ_WEB", default=False)
WEB_PROCESSES = env.int("WEB_PROCESSES", default=2)
WEB_THREADS = env.int("WEB_THREADS", default=8)
DB_POOL_MIN_SIZE = env.int("DB_POOL_MIN_SIZE", default=2)
DB_POOL_MAX_SIZE = env.int("DB_POOL_MAX_SIZE", default=10)
DB_POOL_TIMEOUT = env.float("DB_POOL_TIMEOUT", default=30)
DB_POOL_MAX_LIFETIME = env.float("DB_POOL_MAX_LIFETIME", default=3600)
API_POOL_TIMEOUT = 2.0  # seconds an API request waits for a connection before it answers 503
STATEMENT_TIMEOUT_MS = env.int("STATEMENT_TIMEOUT_MS", default=15_000)

_database_url = secret("DATABASE_URL") or STACK.get("database_url", "postgres://utxoiq@127.0.0.1:5432/utxoiq")
_database: dict[str, Any] = environ.Env.db_url_config(_database_url)
_database["ENGINE"] = "utxoiq_admin.core.postgres"
_database["CONN_HEALTH_CHECKS"] = not IS_WEB  # the pool's connections are checked by core.postgres
_database["CONN_MAX_AGE"] = 0 if IS_WEB else None
_database["TEST"] = {"NAME": env.str("TEST_DATABASE_NAME", default="test_utxoiq")}
_options: dict[str, Any] = _database.setdefault("OPTIONS", {})
_options.setdefault("connect_timeout", 3)
if env.str("DB_SSLMODE", default=""):
    _options["sslmode"] = env.str("DB_SSLMODE")
if IS_WEB:
    _options["options"] = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
    _options["pool"] = {
        "min_size": DB_POOL_MIN_SIZE,
        "max_size": DB_POOL_MAX_SIZE,
        "timeout": DB_POOL_TIMEOUT,
        "max_lifetime": DB_POOL_MAX_LIFETIME,
        # Attempts to connect wait 1, 2, 4, ... seconds for each other; after this they are given up, and the next
        # request makes a new one. With the default of 300 a long outage is felt for half a minute after its end.
        "reconnect_timeout": 2.0,
    }
DATABASES = {"default": _database}

# --- Valkey or Redis ----------------------------------------------------------------------------------------
# One database for both uses, told apart by prefix: managed servers often offer database 0 only.
REDIS_URL = secret("REDIS_URL") or STACK.get("redis_url", "redis://127.0.0.1:6379/0")
REDIS_TIMEOUT = env.float("REDIS_TIMEOUT", default=0.25)  # seconds a frozen server may cost one operation
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "utxoiq",
        "OPTIONS": {
            "SOCKET_TIMEOUT": REDIS_TIMEOUT,
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT,
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"

# --- Celery -------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "celery:",
    "socket_timeout": 5.0,
    "socket_connect_timeout": 2.0,
    # A message is only a knock on the door: the row is the work, and the tick knocks again. With acknowledgements
    # emulated, a broker that restarts while a message is unacknowledged ends the worker (kombu 5.7).
    "ack_emulation": False,
    "max_retries": 1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# For ever: by default a worker gives up, and ends, after some 50 minutes.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "utxoiq_admin.core.heartbeats:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = beat_schedule(demo=EMBEDDED_DATABASE)

# --- Time, words, files -------------------------------------------------------------------------------------
TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_THOUSAND_SEPARATOR = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "utxoiq_admin.core.static_files.HashedStaticFiles"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
# Gzip alone: Brotli at its highest level took 40 s of the first start for a few per cent, most of it for maps that only
# a debugger reads.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = [
    "map",
    "woff",
    "woff2",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "webp",
    "ico",
    "gz",
    "br",
]

# --- Our own business ---------------------------------------------------------------------------------------
RETENTION_METRICS_DAYS = env.int("RETENTION_METRICS_DAYS", default=90)
ROLLUPS_METRICS_DAYS = env.int(
    "ROLLUPS_METRICS_DAYS", default=730
)  # hourly and daily figures outlive the rows
RETENTION_FEEDBACK_DAYS = env.int("RETENTION_FEEDBACK_DAYS", default=730)
RETENTION_JOBS_DAYS = env.int("RETENTION_JOBS_DAYS", default=180)
RETENTION_TASK_RUNS_DAYS = env.int("RETENTION_TASK_RUNS_DAYS", default=30)
RETENTION_RUNS_DAYS = env.int("RETENTION_RUNS_DAYS", default=400)
RETENTION_PAUSES_DAYS = env.int("RETENTION_PAUSES_DAYS", default=400)
RETENTION_SILENCES_DAYS = env.int("RETENTION_SILENCES_DAYS", default=730)
RETENTION_QUEUE_SAMPLES_DAYS = env.int("RETENTION_QUEUE_SAMPLES_DAYS", default=730)
RETENTION_SESSIONS_DAYS = env.int("RETENTION_SESSIONS_DAYS", default=7)
RETENTION_SKIPS_DAYS = env.int("RETENTION_SKIPS_DAYS", default=7)
RETENTION_JOB_EVENTS_DAYS = env.int("RETENTION_JOB_EVENTS_DAYS", default=180)
RETENTION_INSTANCES_DAYS = env.int("RETENTION_INSTANCES_DAYS", default=30)
RETENTION_TOKEN_USAGE_DAYS = env.int("RETENTION_TOKEN_USAGE_DAYS", default=8)
# How long objects stay in the archive; 0 for ever.
ARCHIVE_METRICS_DAYS = env.int("ARCHIVE_METRICS_DAYS", default=365)
ARCHIVE_FEEDBACK_DAYS = env.int("ARCHIVE_FEEDBACK_DAYS", default=0)
ARCHIVE_JOBS_DAYS = env.int("ARCHIVE_JOBS_DAYS", default=0)
# file:///folder, s3://bucket/prefix or gs://bucket/prefix; the credentials' places are those of the libraries.
ARCHIVE_URL = secret("ARCHIVE_URL") or (DATA_DIR / "archive").as_uri()
FLAG_THRESHOLD = env.int("FLAG_THRESHOLD", default=3)
REVIEW_CLAIM_SECONDS = env.int("REVIEW_CLAIM_SECONDS", default=600)
INSIGHT_API_URL = env.str("INSIGHT_API_URL", default="")
INSIGHT_API_TOKEN = secret("INSIGHT_API_TOKEN")
INSIGHT_URL_TEMPLATE = env.str("INSIGHT_URL_TEMPLATE", default="")
EXPLORER_URL = env.str("EXPLORER_URL", default="https://mempool.space")
CHAIN_TIP_BLOCK = env.int("CHAIN_TIP_BLOCK", default=0)  # 0: the highest block that a job named

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}
