"""The one place that reads the environment.

Two ways to run are told apart by ``HELIOGRAPH_ENV``:

* ``embedded`` (default): SQLite, a broker of our own, mail into a local
  mailbox. For the demo and for development.
* ``production``: PostgreSQL, Redis and a mail relay are named by the
  environment; the system checks (``config/checks.py``) refuse a start with
  embedded parts.
"""

import json
import secrets
from pathlib import Path
from typing import Any

import environ
from django.urls import reverse_lazy

from config.look import CONSOLE

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(env.str("ENV_FILE", str(BASE_DIR / ".env")))

PRODUCTION = env.str("HELIOGRAPH_ENV", "embedded") == "production"
DEBUG = env.bool("DEBUG", False)
# Where a running copy writes: embedded database, pressed pages, mailbox.
VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)


def embedded_secret(path: Path) -> str:
    """Make a secret once and keep it, so that restarts keep sessions and links alive."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


def anymail_value(text: str) -> Any:
    """A variable of django-anymail's: true and false are truths, what looks like JSON is, the rest is text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except ValueError:
        return text


SECRET_KEY = env.str("SECRET_KEY", "") or ("" if PRODUCTION else embedded_secret(VAR_DIR / "secret"))
# Old keys stay valid for links in mail that was sent under them.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

# The public origin; every absolute link is built from it, never from a request (S14).
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=[] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]", "testserver"]
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[SITE_URL])

INSTALLED_APPS = [
    # Its default would put a site of its own in place of config.console.Console.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "config.console.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "simple_history",
    "anymail",
    "config",
    "notifications",
    "status",
    "incidents",
    "postmortems",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Databases -----------------------------------------------------------------

# The embedded file is named outright: as a URL, a folder called "50% done?" would be cut short.
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL")
    if env.str("DATABASE_URL", "")
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "heliograph.sqlite3")}
}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    # Measured: the defaults gave 511 "database is locked" in 2,400 transactions, these 0.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    _database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", 600)
    _database["CONN_HEALTH_CHECKS"] = True
    # Seconds, the last one milliseconds. A network that swallows packets is noticed after 20 s; without these a
    # program waited on for more than a minute, as long as it was watched (F26).
    _patience = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    _database["OPTIONS"] = _patience | _database.get("OPTIONS", {})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery: the doorbell; the database is the queue ---------------------------

BROKER_NAMED = bool(env.str("REDIS_URL", ""))
CELERY_BROKER_URL = env.str("REDIS_URL", "") or "redis://127.0.0.1:6379/0"
CELERY_BROKER_TRANSPORT = "config.broker:Transport"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 5,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "global_keyprefix": env.str("REDIS_PREFIX", "heliograph:"),
}
# A bell that cannot ring is given up after a moment: the sweep finds the work anyway.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_DB_REUSE_MAX = 1000
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")

# --- Outgoing mail -------------------------------------------------------------

# smtp+tls://user:password@host:587 (STARTTLS), smtp+ssl://…:465 (TLS at once) or smtp://host:25; the embedded
# default is the local mailbox.
MAILBOX_DIR = VAR_DIR / "mailbox"
MAILBOX_PORT = env.int("MAILBOX_PORT", 8025)
# Only a copy without a relay of its own reads its mail in the console; production never does.
RELAY_NAMED = bool(env.str("SMTP_URL", ""))
# A provider's API instead of a relay: postmark, resend, mailgun … (docs/mail.md). What it wants to know, its keys
# above all, are variables as django-anymail's manual names them: ANYMAIL_POSTMARK_SERVER_TOKEN.
MAIL_PROVIDER = env.str("MAIL_PROVIDER", "").lower()
ANYMAIL = {
    name.removeprefix("ANYMAIL_"): anymail_value(value)
    for name, value in env.ENVIRON.items()
    if name.startswith("ANYMAIL_")
}
MAIL_PROVIDER_TIMEOUTS = {
    "connect": env.float("MAIL_PROVIDER_CONNECT_TIMEOUT", 10.0),
    "answer": env.float("MAIL_PROVIDER_ANSWER_TIMEOUT", 20.0),
}
MAILBOX_IN_USE = not PRODUCTION and not RELAY_NAMED and not MAIL_PROVIDER
# A mailbox whose mail is piped to `manage.py receive_bounce`: every mail then has a return address of its own there.
BOUNCE_ADDRESS = env.str("BOUNCE_ADDRESS", "")
_mail = env.email_url("SMTP_URL", default=f"smtp://127.0.0.1:{MAILBOX_PORT}")
SMTP = {
    "host": _mail["EMAIL_HOST"] or "127.0.0.1",
    "port": _mail["EMAIL_PORT"] or 25,
    "user": _mail["EMAIL_HOST_USER"] or "",
    "password": _mail["EMAIL_HOST_PASSWORD"] or "",
    "starttls": bool(_mail.get("EMAIL_USE_TLS", False)),
    "tls": bool(_mail.get("EMAIL_USE_SSL", False)),
    "connect_timeout": env.float("SMTP_CONNECT_TIMEOUT", 10.0),
    "command_timeout": env.float("SMTP_COMMAND_TIMEOUT", 30.0),
}
# Mail that is not ours to deliver (password resets of the admin) takes the same road.
EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = SMTP["host"], SMTP["port"], SMTP["command_timeout"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = SMTP["user"], SMTP["password"]
EMAIL_USE_TLS, EMAIL_USE_SSL = SMTP["starttls"], SMTP["tls"]
if MAIL_PROVIDER:
    EMAIL_BACKEND = f"anymail.backends.{MAIL_PROVIDER}.EmailBackend"
# SMTP connections, each with one message in flight, that one worker process opens.
DELIVERY_CONNECTIONS = env.int("DELIVERY_CONNECTIONS", 4)
# Messages in flight at once per worker process, by pool: waits of the network, without a database connection each.
COURIER_HANDS = {
    "texts": env.int("SMS_HANDS", 8),
    "codes": 2,
    "whatsapp": env.int("SMS_HANDS", 8),
    "hooks": env.int("WEBHOOK_HANDS", 48),
    "retries": env.int("WEBHOOK_HANDS", 48),
    "chats": 8,
}
# How long a claimed row may stay with a worker before the reaper takes it back (F01).
DELIVERY_LEASE_SECONDS = env.int("DELIVERY_LEASE_SECONDS", 30)
# Asked for after every audit that found nothing: whoever waits for it alarms when it stays away (F22).
DEAD_MAN_URL = env.str("DEAD_MAN_URL", "")
# What Prometheus says to be shown /metrics (Authorization: Bearer …); empty: there is no such page.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")

# --- Text messages -----------------------------------------------------------------

# Who carries SMS: twilio, sns, or nobody. What is missing then is said by ``manage.py check`` and in the console.
SMS_PROVIDER = env.str("SMS_PROVIDER", "")
TWILIO = {
    "account_sid": env.str("TWILIO_ACCOUNT_SID", ""),
    "auth_token": env.str("TWILIO_AUTH_TOKEN", ""),
    # A number (+1…) or the id of a messaging service (MG…).
    "sms_from": env.str("TWILIO_SMS_FROM", ""),
    # WhatsApp is on when this names its number; templates (HX…) are what may be said unasked there.
    "whatsapp_from": env.str("TWILIO_WHATSAPP_FROM", ""),
    "whatsapp_template": env.str("TWILIO_WHATSAPP_TEMPLATE", ""),
    # True where Twilio itself answers STOP, START and HELP: then we act on them and say nothing.
    "answers_keywords": env.bool("TWILIO_ANSWERS_KEYWORDS", False),
    "api_base": env.str("TWILIO_API_BASE", "https://api.twilio.com").rstrip("/"),
    "connect_timeout": env.float("TWILIO_CONNECT_TIMEOUT", 5.0),
    "read_timeout": env.float("TWILIO_READ_TIMEOUT", 15.0),
}
# boto3 finds its key as everywhere: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role.
SNS = {
    "region": env.str("SNS_REGION", ""),
    "endpoint": env.str("SNS_ENDPOINT", ""),
    "sender_id": env.str("SNS_SENDER_ID", ""),
    "connect_timeout": env.float("SNS_CONNECT_TIMEOUT", 5.0),
    "read_timeout": env.float("SNS_READ_TIMEOUT", 15.0),
}
# Where numbers without a country code belong, and the countries (ISO 3166) that are texted at all (S19).
PHONE_REGION = env.str("PHONE_REGION", "US").upper()
SMS_COUNTRIES = [country.upper() for country in env.list("SMS_COUNTRIES", default=[])] or [PHONE_REGION]
# What may be spent on text messages, in billed segments; 0: nothing. Beyond it a text ends as failed (F05).
SMS_CAPS = {
    "incident": env.int("SMS_PER_INCIDENT", 20_000),
    "hour": env.int("SMS_PER_HOUR", 20_000),
    "month": env.int("SMS_PER_MONTH", 200_000),
    # Codes are asked for by strangers: they may not use up what news needs (S19).
    "codes": env.int("SMS_CODES_PER_HOUR", 300),
}

# --- Webhooks --------------------------------------------------------------------

WEBHOOKS = {
    # Clear text is for tests and closed installations; so are networks of one's own, as "10.1.0.0/16" (S20).
    "allow_http": env.bool("WEBHOOK_ALLOW_HTTP", False),
    "allow_networks": env.list("WEBHOOK_ALLOW_NETWORKS", default=[]),
    "ports": env.list("WEBHOOK_PORTS", cast=int, default=[443, 8443]),
    # Authorities beside the public ones, e.g. a company's own.
    "ca_file": env.str("WEBHOOK_CA_FILE", ""),
}

# --- Billing ---------------------------------------------------------------------

# Another billing system than Stripe is told when a month was closed (docs/billing.md): where, and what signs (whsec_…).
BILLING_WEBHOOK = {"url": env.str("BILLING_WEBHOOK_URL", ""), "secret": env.str("BILLING_WEBHOOK_SECRET", "")}

# --- Chat and social posts -------------------------------------------------------

# Services that targets may be added for; one that is left out is refused, and its targets rest.
CHAT_SERVICES = env.list(
    "CHAT_SERVICES",
    default=[
        "slack", "teams", "discord", "telegram", "mattermost", "rocketchat", "googlechat", "matrix", "webex",
        "pagerduty", "opsgenie", "pushover", "ntfy",
    ],
)  # fmt: skip
SOCIAL_SERVICES = env.list("SOCIAL_SERVICES", default=["x", "mastodon", "bluesky"])

# --- Stripe ------------------------------------------------------------------------

# Credits of contracts whose billing account is a customer there (cus_…) become entries in its balance.
# Empty: people, or the billing system by the API, say what was applied.
STRIPE = {
    "api_key": env.str("STRIPE_API_KEY", ""),
    "api_base": env.str("STRIPE_API_BASE", "https://api.stripe.com").rstrip("/"),
    "connect_timeout": env.float("STRIPE_CONNECT_TIMEOUT", 3.0),
    "read_timeout": env.float("STRIPE_READ_TIMEOUT", 10.0),
    # Tries of its client within one of ours.
    "retries": env.int("STRIPE_RETRIES", 1),
}

# --- The subscribe form ---------------------------------------------------------

# Sign-ups that are taken in one hour (S16); what is over a limit is answered in the same words.
SIGN_UPS_PER_IP = env.int("SIGN_UPS_PER_IP", 5)
SIGN_UPS_PER_NETWORK = env.int("SIGN_UPS_PER_NETWORK", 30)
SIGN_UPS_PER_DOMAIN = env.int("SIGN_UPS_PER_DOMAIN", 200)
SIGN_UPS_PER_HOUR = env.int("SIGN_UPS_PER_HOUR", 2_000)
# How many proxies of ours stand in front and append to X-Forwarded-For; 0: the header is not believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0)
# Keys the hashes of addresses that may not be mailed (S29). Set it before SECRET_KEY is ever changed for good.
SUPPRESSION_KEY = env.str("SUPPRESSION_KEY", "") or SECRET_KEY
# Seal the secrets of endpoints in the database (S27): the first seals, all of them open.
SECRETS_KEYS = env.list("SECRETS_KEYS", default=[]) or [SECRET_KEY, *SECRET_KEY_FALLBACKS]

# --- Public page -----------------------------------------------------------------

# Pressed pages: written whole on every change, read by the web process and by any CDN.
PAGE_DIR = Path(env.str("PAGE_DIR", str(VAR_DIR / "page")))

# --- Language, time --------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = ["config.formats"]

# --- Static files ----------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(VAR_DIR / "static")))
if not PRODUCTION:
    # Nothing is collected there, but whitenoise warns about a folder that is missing.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# Plain storage with finders: no collectstatic needed in demo and tests.
WHITENOISE_USE_FINDERS = not PRODUCTION
# Lengths are remembered from the start: a file that changes under a running demo would be served cut.
WHITENOISE_AUTOREFRESH = not PRODUCTION

# --- Security ----------------------------------------------------------------------

SECURE = env.bool("SECURE", PRODUCTION)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
if env.bool("BEHIND_TLS_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

# --- Console ------------------------------------------------------------------------

UNFOLD = CONSOLE

# --- API ----------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    # Default deny: every view says for itself who may call it (S07).
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PARSER_CLASSES": ["config.parsing.Json"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 50,
}

# --- Logs ----------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"discreet": {"()": "notifications.discretion.Discreet"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["discreet"]}},
    # Louder, these name the secret addresses they call, and sign with (S30).
    "loggers": {name: {"level": "INFO"} for name in ("urllib3", "oauthlib", "requests_oauthlib")}
    | {name: {"level": "WARNING"} for name in ("stripe", "weasyprint", "fontTools")},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
}
