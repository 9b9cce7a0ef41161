"""Values that may be state, and what is not state: nothing is found here. Each line marked "fine" is a sample."""

import collections
import contextlib
import csv
import dataclasses
import datetime
import decimal
import enum
import io
import json
import logging
import tempfile
import threading
import typing
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, NewType, Optional, Protocol, TypedDict

import boto3
import httpx
import redis
import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db import models
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, gettext_lazy as _
from django.views.generic.base import ContextMixin

from djust import AsyncResult, LiveView, computed, event_handler, service, state
from tests.myapp.models import *

if TYPE_CHECKING:
    from somewhere import TypedOnlyClient

log = logging.getLogger(__name__)
http = httpx.Client
lock = threading.Lock()
User = get_user_model()
CHOICES = {"a": 1}
TITLE = _("title")


class Color(enum.Enum):
    RED = "red"


class Kind(models.TextChoices):
    A = "a", "A"


class Point(NamedTuple):
    x: int


class Movie(TypedDict):
    name: str


@dataclasses.dataclass
class ApiClient:
    name: str


@dataclasses.dataclass
class Session:
    token: str = ""


class Named(Protocol):
    name: str


class Tagged:
    """A mixin of models."""


class TaggedPoint(Tagged, Point):
    pass


UserId = NewType("UserId", int)
Pair = collections.namedtuple("Pair", "a b")


class Client(models.Model):
    name = models.CharField(max_length=10)

    class Meta:
        app_label = "checks_corpus"
        managed = False


class Rapid:
    pass


class Form(LiveView):
    template = ""


def names() -> list[str]:
    return boto3.client("s3").list()


def moment() -> "datetime.datetime":
    return find()


def anything() -> Any:
    return 1


def client_names():
    client = boto3.client("s3")
    return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


def typed_only() -> "TypedOnlyClient":
    return find()


def rows():
    with open("x") as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def opened():
    yield 1


def unknown_decorator(function):
    return function


@unknown_decorator
def decorated():
    return boto3.client("s3")


class Serializable(Form):
    count = state(default=0)  # fine
    names = state(default=[])  # fine
    made = state(default_factory=list)  # fine
    lazily = state(default_factory=lambda: {"a": []})  # fine
    today = state(default_factory=datetime.date.today)  # fine
    now = state(default_factory=timezone.now)  # fine
    token = state(default_factory=uuid.uuid4)  # fine
    color: Color = state(default=Color.RED)  # fine
    point = state(default=Point(1))  # fine
    label = state(default=TITLE)  # fine

    def mount(self, request, pk=None, product: Client | None = None, ids: Optional[list[int]] = None, **kwargs):
        self.text = "text"  # fine
        self.number = 1.5  # fine
        self.nothing = None  # fine
        self.pair = (1, 2)  # fine
        self.unique = {1, 2}  # fine
        self.frozen = frozenset({1})  # fine
        self.nested = {"items": [{"name": "Widget", "price": 9.99}]}  # fine
        self.date = datetime.date.today()  # fine
        self.moment = datetime.datetime.now()  # fine
        self.delta = datetime.timedelta(days=1)  # fine
        self.django_now = timezone.now()  # fine
        self.price = decimal.Decimal("1")  # fine
        self.identity = uuid.uuid4()  # fine
        self.other_identity = uuid.UUID(int=1)  # fine
        self.member = Color.RED  # fine
        self.called_member = Color("red")  # fine
        self.choice = Kind.A  # fine
        self.choices = Kind.choices  # fine
        self.named_tuple = Point(1)  # fine
        self.pairs = Pair(1, 2)  # fine
        self.movie = Movie(name="x")  # fine
        self.user_id = UserId(1)  # fine
        self.counter = collections.Counter("abc")  # fine
        self.default = collections.defaultdict(list)  # fine
        self.ordered = collections.OrderedDict()  # fine
        self.dataclass = ApiClient("x")  # fine
        self.session_data = Session()  # fine
        self.client = Client(name="x")  # fine
        self.found = Client.objects.get(pk=1)  # fine
        self.client_or_none = Client.objects.filter(name="x").order_by("name").select_related().first()  # fine
        self.queryset = Client.objects.filter(name="x")  # fine
        self.all_clients = Client.objects.all()  # fine
        self.listed = list(Client.objects.all())  # fine
        self.values_list = Client.objects.values_list("name", flat=True)  # fine
        self.user = request.user  # fine
        self.users = User.objects.all()  # fine
        self.group = Group(name="x")  # fine
        self.session = request.session.session_key  # fine
        self.page = Paginator([], 1).num_pages  # fine
        self.safe = mark_safe("<b>")  # fine
        self.html = format_html("<b>{}</b>", 1)  # fine
        self.translated = gettext("x")  # fine
        self.lazy = _("x")  # fine
        self.title_text = TITLE  # fine
        self.constant = CHOICES  # fine
        self.debug = settings.DEBUG  # fine
        self.pk = pk  # fine
        self.product = product  # fine
        self.ids = ids  # fine
        self.product_name = kwargs["name"]  # fine
        self.result = AsyncResult.loading() if pk else None  # fine


class NotClients(Form):
    """Words that only contain a keyword, and names that say nothing about values."""

    def mount(self, request, **kwargs):
        self.rapid = 1  # fine
        self.clientele = ["a"]  # fine
        self.api_url = "https://"  # fine
        self.client_id = 1  # fine
        self.api_client = "httpx"  # fine
        self.connections = 3  # fine
        self.service_name = str(boto3.client("s3"))  # fine
        self.client_count = len([httpx.Client()])  # fine
        self.has_client = httpx.Client() is not None  # fine
        self.redis_url = redis.Redis().info()["url"]  # fine
        self.status = requests.Session().get("/").status_code  # fine
        self.body = httpx.get("https://x").json()  # fine
        self.session_count = len(self.connections_of())  # fine

    def connections_of(self):
        return [1]


class Private(Form):
    _declared = state(default_factory=httpx.Client)  # fine
    shared = httpx.Client  # fine
    class_level = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")  # fine

    def mount(self, request, client=None, **kwargs):
        self._client = boto3.client("s3")  # fine
        self.__hidden = open("x")  # fine
        self._locks = [threading.Lock()]  # fine
        self._client, self.count = httpx.Client(), 1  # fine
        client = httpx.Client()  # fine
        local = lambda: client  # fine
        kwargs["client"] = client  # fine
        request.client = client  # fine
        local().base = client  # fine
        self.buckets = self._client.list_buckets()["Buckets"]  # fine
        self.request = request  # fine
        self.kwargs = kwargs  # fine

    @property
    def client(self):
        return self._client  # fine

    @client.setter
    def client(self, value):
        self._client = value

    @event_handler
    def renew(self):
        self.client = httpx.Client()  # fine

    @computed
    def names(self):
        return [client for client in self.client.names()]  # fine


class Flow(Form):
    def mount(self, request, **kwargs):
        data = open("x")
        data = data.read()
        self.data = data  # fine
        self.file = open("x")
        self.file = self.file.read()  # fine
        self.gone = boto3.client("s3")
        del self.gone  # fine
        self.reset = boto3.client("s3")
        self.reset = None  # fine
        self.helped = names()  # fine
        self.annotated_helper = moment()  # fine
        self.any = anything()  # fine
        self.client_names = client_names()  # fine
        self.typed_only = typed_only()  # fine
        self.rows = rows()  # fine
        self.decorated = decorated()  # fine
        self.method = self._names()  # fine
        self.as_list = list(x for x in [1])  # fine
        self.as_sorted = sorted(x for x in [1])  # fine
        self.joined = ",".join(str(x) for x in [1])  # fine
        self.summed = sum(x for x in [1])  # fine
        self.any_of = any(x for x in [1])  # fine
        self.mapped = list(map(str, [1]))  # fine
        self.zipped = dict(zip(["a"], [1]))  # fine
        self.comprehension = {name: len(name) for name in names()}  # fine
        self.lengths = [len(name) for name in names()]  # fine
        self.largest = max([1], key=lambda x: -x)  # fine
        self.filtered = [x for x in filter(None, [1])]  # fine
        self.loaded = json.loads("{}")  # fine
        self.text_of_file = io.StringIO("x").getvalue()  # fine
        with open("x") as file:
            self.content = file.read()  # fine
        with tempfile.TemporaryDirectory() as folder:
            self.folder = folder  # fine
        with opened() as value:
            self.opened = value  # fine
        with httpx.Client() as client:
            self.answer = client.get("/").json()  # fine
        with lock:
            self.locked = True  # fine
        for row in csv.reader(open("x")):
            self.row = row  # fine
        try:
            self.parsed = int("1")  # fine
        except ValueError as error:
            self.error = str(error)  # fine
        if request.GET:
            client = None
        self.last = [1][0]  # fine
        self.formatted = f"{boto3.client('s3')}"  # fine
        self.compared = boto3.client("s3") == 1  # fine
        self.class_name = type(self).__name__  # fine
        log.info("x", extra={"client": boto3.client("s3")})  # fine
        unknown = self.unknown_thing  # fine
        self.copied = unknown  # fine

    def _names(self):
        return [name for name in self._client().names()]

    def _client(self):
        return boto3.client("s3")

    async def handle_info(self, message):
        self.message = await self._load()  # fine
        self.text = message["text"]  # fine

    async def _load(self):
        async with httpx.AsyncClient() as client:
            return (await client.get("/")).json()

    def _with(self, named: Named, tagged: Tagged, value: object, movie: Movie, kind: typing.Literal["a"]):
        self.protocol = named  # fine
        self.base = tagged  # fine
        self.value = value  # fine
        self.film = movie  # fine
        self.literal = kind  # fine


def pick(name, client=None, *others, **more):
    return name


class Arguments(Form):
    def mount(self, request, **kwargs):
        client = boto3.client("s3")
        self.by_name = pick(client=client, name="x")  # fine
        self.by_position = pick("x", client)  # fine
        self.by_stars = pick(*["x"], client, **{"a": client})  # fine
        self.own_method = self._pick(client=client, name="x")  # fine

    def _pick(self, name, client):
        return name


class Shadowed(Form):
    def mount(self, request, boto3=None, open=None, **kwargs):
        self.shadowed = boto3.client("s3")  # fine
        self.own_open = open("x")  # fine
        httpx = kwargs["httpx"]
        self.local = httpx.Client()  # fine


def make_view(Client, redis):
    class Inner(Form):
        def mount(self, request):
            self.inner = Client()  # fine
            self.deep = redis.Redis()  # fine

    return Inner


Inner = make_view(dict, dict)


class Silenced(Form):
    def mount(self, request, **kwargs):
        self.one = boto3.client("s3")  # noqa: V006 fine
        self.two = boto3.client("s3")  # noqa
        self.three = httpx.Client()  # noqa: V006, V008
        self.four = open("x")  # noqa: djust.V008
        self.five = open("x")  # NOQA:V008
        self.six = boto3.client(
            "s3",  # noqa: V006
        )


class Guarded(LoginRequiredMixin, Form):
    def mount(self, request):
        self.name = request.user.get_username()  # fine


class NotAView(ContextMixin):
    def mount(self, request):
        self.client = boto3.client("s3")  # fine


class AsyncOnly(Form):
    async def mount(self, request, slug: str):
        self.names = [name async for name in self.stream()]  # fine
        self.assign_async("later", self._later)  # fine
        self.assign_later(shown=True)  # fine

    def _later(self):
        return 1


def make_service():
    return boto3.client("s3")


class DeclaredServices(Form):
    s3 = service(make_service)  # fine
    _hidden = service(httpx.Client, scope="call")  # fine
    api = service(httpx.AsyncClient, scope="page")  # fine

    def mount(self, request):
        self.buckets = self.s3.list_buckets()["Buckets"]  # fine
        self._private = self.s3  # fine

    async def handle_info(self, message):
        api = await self.api
        self.status = (await api.get("/")).status_code  # fine
