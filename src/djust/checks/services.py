"""What cannot be state, and what of it is a service: data, and the questions asked about it.

    verdict(httpx.Client)   ->  Verdict("Client", is_service=True)
    verdict(Path)           ->  Verdict("Path", is_service=False)
    verdict(Product)        ->  None       a model; also what nobody can be sure about

Validation decides at run time by the table of `state.types`, so that a check says what would
happen.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
import re
import sys
from typing import Any, NamedTuple, is_typeddict

from django.db.models import Model, QuerySet
from django.db.models.base import ModelBase
from django.utils.functional import LazyObject

from djust.state.types import find_type

# Words in the name of a class that mark it as a service, in any package.
WORDS = frozenset({"service", "client", "session", "api", "connection"})

# Packages whose objects are services: clients, sessions, connections, cursors, sockets.
_NAMES = """
    aioboto3 aiobotocore aiohttp aiokafka aiomysql aiopg aioredis algoliasearch amqp anthropic asyncpg asyncssh
    azure boto3 botocore cassandra channels_redis confluent_kafka consul cx_Oracle docker elasticsearch fabric
    ftplib github gitlab google googleapiclient grpc hiredis httpx imaplib influxdb_client kafka kombu kubernetes
    ldap3 meilisearch memcache minio motor MySQLdb mysql nats neo4j openai opensearchpy oracledb paho paramiko pika
    poplib psycopg psycopg2 psycopg_pool pymemcache pymongo pymssql pymysql pyodbc qdrant_client redis requests
    requests_oauthlib s3fs sendgrid slack_sdk smtplib snowflake socket sqlalchemy sqlite3 _sqlite3 ssl stripe
    telnetlib twilio typesense urllib3 valkey weaviate websocket websockets zmq
"""
PACKAGES = frozenset(_NAMES.split())
# What holds a connection can be closed; the other classes of these packages, such as addresses, are
# no services.
_CLOSING = ("close", "aclose", "__enter__", "__aenter__")
_METHODS = re.compile(r"from_|connect|create|open_|client$|resource$")

# The types of what functions give, "*" after those of services → the names the functions are called
# by or defined with.
_GIVEN = {
    "client*": "boto3.client",
    "resource*": "boto3.resource",
    "Redis*": "redis.from_url redis.utils.from_url redis.asyncio.from_url redis.asyncio.utils.from_url",
    "Session*": "requests.session requests.sessions.session",
    "Connection*": "psycopg.connect psycopg2.connect pymysql.connect MySQLdb.connect mysql.connector.connect"
    " asyncpg.connect aiopg.connect cx_Oracle.connect oracledb.connect pyodbc.connect sqlite3.connect _sqlite3.connect"
    " snowflake.connector.connect",
    "Pool*": "asyncpg.create_pool",
    "Engine*": "sqlalchemy.create_engine",
    "Client*": "nats.connect docker.from_env",
    "Channel*": "grpc.insecure_channel grpc.secure_channel",
    "WebSocket*": "websocket.create_connection websockets.connect",
    "socket*": "socket.create_connection socket.socketpair",
    "HTTPResponse*": "urllib.request.urlopen",
    "Resource*": "googleapiclient.discovery.build",
    "EmailBackend*": "django.core.mail.get_connection",
    "TextIOWrapper": "io.open _io.open builtins.open codecs.open os.fdopen tempfile.TemporaryFile"
    " tempfile.NamedTemporaryFile",
    "GzipFile": "gzip.open",
    "BZ2File": "bz2.open",
    "LZMAFile": "lzma.open",
    "Popen": "os.popen",
    "Lock": "threading.Lock threading.RLock _thread.allocate_lock _thread.lock",
    "Task": "asyncio.create_task asyncio.tasks.create_task asyncio.ensure_future asyncio.tasks.ensure_future",
    "EventLoop": "asyncio.get_event_loop asyncio.new_event_loop",
    "Logger": "logging.getLogger",
    "Pattern": "re.compile",
    "iterator": "builtins.iter",
    "reader": "csv.reader _csv.reader",
    "writer": "csv.writer _csv.writer",
}
MAKERS = {name: kind for kind, names in _GIVEN.items() for name in names.split()}

_PERHAPS = (enum.Enum, LazyObject, Model, QuerySet)


class Verdict(NamedTuple):
    """The name of a type whose instances cannot be state."""

    name: str
    is_service: bool


def verdict(kind: type, *, declared: bool = False) -> Verdict | None:
    """Why an instance of `kind` cannot be state; `declared`: it may be one of a subclass."""
    if _may_be_state(kind) or kind.__module__.partition(".")[0] in ("djust", "typing", "typing_extensions"):
        return None
    if declared and (_is_open(kind) or any(map(_may_be_state, subclasses_of(kind)))):
        return None
    is_service = looks_like_service(kind.__name__) or (
        in_service_package(kind.__module__) and any(hasattr(kind, name) for name in _CLOSING)
    )
    return Verdict(kind.__name__, is_service) if is_service or _gives_itself(kind) else None


def made_by(*names: str) -> Verdict | None:
    """What a function gives, by the names it is known under."""
    for name in names:
        if (found := MAKERS.get(name)) is not None:
            return Verdict(found.rstrip("*"), found.endswith("*"))
    return None


def made_by_name(name: str) -> Verdict | None:
    """What calling `name` of a package that is not imported here gives."""
    last = name.rpartition(".")[2]
    is_class = last[:1].isupper() and not last.endswith(("Error", "Exception")) and looks_like_service(last)
    return made_by(name) or (Verdict(last, True) if in_service_package(name) and is_class else None)


def is_alternative_constructor(kind: type, name: str) -> bool:
    """Whether the class method `name` makes an instance, as `Redis.from_url` does."""
    return in_service_package(kind.__module__) and _METHODS.match(name) is not None


def in_service_package(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def looks_like_service(name: str) -> bool:
    """Whether a word of a class's name says so: APIClient and S3Session do, Clientele does not."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return not WORDS.isdisjoint(word.lower() for word in words)


def _may_be_state(kind: type) -> bool:
    if find_type(kind) is not None or is_typeddict(kind):
        return True
    # Classes made in functions are not found again, and models may not be installed; that is not
    # for a check to say.
    return dataclasses.is_dataclass(kind) or issubclass(kind, _PERHAPS)


def _is_open(kind: type) -> bool:
    """Whether an annotation with this class says little about what will come."""
    is_protocol = bool(getattr(kind, "_is_protocol", False))
    return is_protocol or inspect.isabstract(kind) or kind.__module__ in ("builtins", "collections.abc", "numbers")


def subclasses_of(kind: type) -> set[Any]:
    """All classes that inherit from a class, at any depth."""
    direct: list[Any] = type.__subclasses__(kind)
    return {*direct}.union(*map(subclasses_of, direct))


def _gives_itself(kind: type) -> bool:
    """Whether calling the class certainly gives an instance of it that says it is one."""
    meta: Any = type(kind)
    if meta not in (type, abc.ABCMeta, ModelBase) and "__call__" in {
        name for base in meta.__mro__[:-2] for name in vars(base)
    }:
        return False
    if any("__class__" in vars(base) for base in kind.__mro__[:-1]):
        return False
    owner = next(base for base in kind.__mro__ if "__new__" in vars(base))
    new = inspect.getattr_static(owner, "__new__")
    is_written = inspect.isfunction(new.__func__ if isinstance(new, staticmethod) else new)
    return not is_written or owner.__module__.partition(".")[0] in sys.stdlib_module_names
