"""Services, and values that cannot be state, found (V006, V008)."""

import asyncio
import collections
import contextlib
import csv
import functools
import logging
import pathlib
import re
import socket
import sqlite3
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import boto3 as aws
import httpx
import psycopg
import redis
import requests
from boto3 import client as make_client
from redis import Redis as Cache

from djust import LiveView, event_handler, service, state


class MyServiceClass:
    pass


class MetricsAPI:
    pass


class Basket:
    pass


class Form(LiveView):
    """What the others inherit from; it has no state."""

    template = ""


def make_s3():
    return boto3.client("s3")


def typed_redis() -> redis.Redis:
    return find("redis")


def connect(view):
    view.connection = psycopg.connect("dbname=x")  # expect: V006 V008


def passed_on(value):
    return value


class Seed(Form):
    def mount(self, request, **kwargs):
        self.s3_client = boto3.client("s3")  # expect: V006
        self.service = MyServiceClass()  # expect: V006 V008


class Constructors(Form):
    def mount(self, request, **kwargs):
        self.http = httpx.Client()  # expect: V006 V008
        self.ahttp = httpx.AsyncClient(timeout=3)  # expect: V006 V008
        self.requests = requests.Session()  # expect: V006 V008
        self.old_requests = requests.session()  # expect: V006 V008
        self.cache = redis.Redis(host="localhost")  # expect: V006 V008
        self.cache2 = Cache()  # expect: V006 V008
        self.cache3 = redis.from_url("redis://")  # expect: V006 V008
        self.cache4 = redis.Redis.from_url("redis://")  # expect: V006 V008
        self.db = psycopg.connect("")  # expect: V006 V008
        self.lite = sqlite3.connect(":memory:")  # expect: V006 V008
        self.sock = socket.socket()  # expect: V006
        self.sock2 = socket.create_connection(("", 1))  # expect: V006
        self.bucket = boto3.resource("s3")  # expect: V006
        self.session = boto3.Session()  # expect: V006 V008
        self.renamed = aws.client("s3")  # expect: V006
        self.imported = make_client("s3")  # expect: V006
        self.metrics = MetricsAPI()  # expect: V006 V008


class Assignments(Form):
    def mount(self, request, **kwargs):
        client = boto3.client("s3")
        self.flowed = client  # expect: V006
        other = self.chained = client  # expect: V006
        self.one, two = client, 2  # expect: V006
        (self.nested, (self.deep, _)) = 1, (client, 3)  # expect: V006
        self.annotated: object = client  # expect: V006
        self.walrus = (found := boto3.client("sqs"))  # expect: V006
        self.after_walrus = found  # expect: V006
        self.from_other = other  # expect: V006
        setattr(self, "by_name", client)  # expect: V006
        self.conditional = client if two else None  # expect: V006
        self.either = None or client  # expect: V006
        if two:
            maybe = client
        else:
            maybe = None
        self.maybe = maybe  # expect: V006
        self.passed = passed_on(client)  # expect: V006
        self.in_list = [client]  # expect: V006
        self.in_dict = {"s3": {"client": client}}  # expect: V006
        self.many = [boto3.client(name) for name in ("s3", "sqs")]  # expect: V006
        self.appended = []
        self.appended.append(client)  # expect: V006
        self.keyed = {}
        self.keyed["s3"] = client  # expect: V006
        self.made = make_s3()  # expect: V006
        self.typed = typed_redis()  # expect: V006 V008
        for self.loop in [client]:  # expect: V006
            pass
        with httpx.Client() as self.entered:  # expect: V006 V008
            pass
        try:
            risky = boto3.client("s3")
        except Exception as error:
            self.error = error  # expect: V008
            risky = None
        self.risky = risky  # expect: V006


class Methods(Form):
    def _client(self):
        return boto3.client("s3")

    @property
    def _http(self):
        return httpx.Client()

    def mount(self, request, client: MetricsAPI = None, **kwargs):
        self._hidden = boto3.client("s3")
        self.helper = self._client()  # expect: V006
        self.by_property = self._http  # expect: V006 V008
        self.parameter = client  # expect: V006 V008
        connect(self)
        self._load()

    def _load(self):
        self.loaded = boto3.client("s3")  # expect: V006

    @event_handler
    def refresh(self):
        self.public = self._hidden  # expect: V006

    async def handle_info(self, message):
        def later():
            self.inner = redis.Redis()  # expect: V006 V008

        async with httpx.AsyncClient() as client:
            self.kept = client  # expect: V006 V008
        later()

    def get_context_data(self, **kwargs):
        self.in_context = boto3.client("s3")  # expect: V006
        return super().get_context_data(**kwargs)


class LocalImport(Form):
    def mount(self, request):
        import stripe

        self.stripe = stripe.StripeClient("key")  # expect: V006 V008
        import requests as r

        self.local = r.Session()  # expect: V006 V008


class ClassLevel(Form):
    client = state(default=httpx.Client)  # expect: V008
    session = state(default_factory=requests.Session)  # expect: V006 V008
    lazy = state(default_factory=lambda: boto3.client("s3"))  # expect: V006
    made = state(default_factory=make_s3)  # expect: V006
    http: object = state(default_factory=httpx.Client)  # expect: V006 V008


class ServiceMixin:
    service_class = MetricsAPI

    def start(self):
        self.mixed_in = boto3.client("s3")  # expect: V006
        self.by_class = self.service_class()  # expect: V006 V008


class WithMixin(ServiceMixin, Form):
    pass


class Values(Form):
    def mount(self, request, **kwargs):
        self.file = open("data.csv")  # expect: V008
        self.path = pathlib.Path("x")  # expect: V008
        self.thread = threading.Thread(target=print)  # expect: V008
        self.lock = threading.Lock()  # expect: V008
        self.event = threading.Event()  # expect: V008
        self.pool = ThreadPoolExecutor()  # expect: V008
        self.process = subprocess.Popen(["true"])  # expect: V008
        self.numbers = (x for x in range(10))  # expect: V008
        self.function = lambda x: x + 1  # expect: V008
        self.builtin = print  # expect: V008
        self.module = csv  # expect: V008
        self.kind = Basket  # expect: V008
        self.basket = Basket()  # expect: V008
        self.baskets = {"a": [Basket()]}  # expect: V008
        self.mapped = map(str, [1])  # expect: V008
        self.zipped = zip([1], [2])  # expect: V008
        self.numbered = enumerate([1])  # expect: V008
        self.range = range(3)  # expect: V008
        self.data = b"bytes"  # expect: V008
        self.queue = asyncio.Queue()  # expect: V008
        self.deque = collections.deque()  # expect: V008
        self.pattern = re.compile("x")  # expect: V008
        self.logger = logging.getLogger()  # expect: V008
        self.partial = functools.partial(print)  # expect: V008
        self.temporary = tempfile.NamedTemporaryFile()  # expect: V008
        self.reader = csv.reader([])  # expect: V008
        self.rows = self._rows()  # expect: V008
        self.forgotten = self._load()  # expect: V008
        self.method = self._rows  # expect: V008
        self.object = object()  # expect: V008
        self.stack = contextlib.ExitStack()  # expect: V008

    def _rows(self):
        yield 1

    async def _load(self):
        return 1


async def make_api():
    return httpx.AsyncClient()


class Declared(Form):
    s3 = service(make_s3)
    api = service(make_api, scope="page")

    def mount(self, request):
        self.kept = self.s3  # expect: V006
        self.pending = self.api  # expect: V008

    async def restore(self, request):
        self.awaited = await self.api  # expect: V006 V008


class Conditions(Form):
    def mount(self, request):
        match request.method:
            case "GET":
                client = boto3.client("s3")
            case _:
                client = None
        self.matched = client  # expect: V006
        while True:
            self.looped = boto3.client("s3")  # expect: V006
            break
        else:
            self.otherwise = boto3.client("s3")  # expect: V006
        if request.GET:
            self.early = boto3.client("s3")  # expect: V006
            return
        self.early = None
