"""What users write: live views as class-based views."""

from dataclasses import dataclass
from typing import Any
from weakref import ref

import pytest
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import path
from django.views import View

from djust import LiveView, event_handler, state
from djust.context import context_of
from djust.views import mount_view, state_of
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)


class Product(LiveView):
    template = "<p>{{ name }} {{ note }} {{ view.kwargs.pk }}</p>"
    name = state("")

    def mount(self, request: HttpRequest, pk: int) -> None:
        self.name = f"product {pk}"


class Everything(LiveView):
    template = "<p>{{ given }}</p>"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.given = sorted(kwargs)


class Titled(LiveView):
    template = "<p>{{ title }}</p>"
    title = "none"


class Decorated(LiveView):
    template = "<p></p>"

    async def mount(self, request: HttpRequest) -> None: ...


urlpatterns = [
    path("product/<int:pk>/<slug:extra>/", Product.as_view()),
    path("everything/<int:pk>/<slug:extra>/", Everything.as_view()),
    path("titled/", Titled.as_view(title="given")),
    path("decorated/", login_required(Decorated.as_view(), login_url="/login/")),
]


async def test_mount_receives_what_it_names() -> None:
    async with Browser() as browser:
        assert "product 5  5" in (await browser.get("/product/5/x/")).visible


async def test_mount_with_kwargs_receives_everything() -> None:
    async with Browser() as browser:
        assert "[&#x27;extra&#x27;, &#x27;pk&#x27;]" in (await browser.get("/everything/5/x/")).visible


async def test_initial_arguments_of_as_view_are_state() -> None:
    async with Browser() as browser:
        assert "<p>given</p>" in (await browser.get("/titled/")).visible


async def test_decorators_work_around_asynchronous_views() -> None:
    async with Browser() as browser:
        assert (await browser.get("/decorated/")).headers["location"] == "/login/?next=/decorated/"


def test_as_view_keeps_the_class() -> None:
    for view_class in (Product, Decorated):
        view: Any = view_class.as_view()
        assert view.view_class is view_class
        assert view.__name__ == "view"


def test_an_instance_holds_what_its_author_and_django_assigned() -> None:
    product = Product()
    product.push_event("saved")
    request = RequestFactory().get("/")
    View.setup(product, request, pk=5)
    mount_view(product, request)
    assert vars(product) == {"request": request, "args": (), "kwargs": {"pk": 5}, "name": "product 5"}


def test_the_context_holds_public_state_the_view_and_what_is_added() -> None:
    product = Product()
    product.note = "new"  # type: ignore[attr-defined]
    product._secret = 5  # type: ignore[attr-defined]
    assert product.get_context_data(more=1) == {"view": product, "name": "", "note": "new", "more": 1}


def test_assigning_in_get_context_data_before_super_adds_to_the_context() -> None:
    class Catalog(LiveView):
        def mount(self, request: HttpRequest) -> None:
            self._products = ["a"]

        def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
            self.products = self._products
            return super().get_context_data(**kwargs)

    catalog = Catalog()
    catalog.mount(RequestFactory().get("/"))
    assert catalog.get_context_data()["products"] == ["a"]
    assert state_of(catalog) == {"products": ["a"]}


def test_a_view_without_template_says_so() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"LiveView has no template. Set template_name"):
        LiveView().get_template()


def test_a_template_is_found_by_its_name(settings: Any, tmp_path: Any) -> None:
    (tmp_path / "page.html").write_text("<p>x</p>")
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}]

    class Named(LiveView):
        template_name = "page.html"

    assert Named().get_template().source == "<p>x</p>"
    assert Named().get_template() is Named().get_template()


def test_a_template_of_another_engine_is_refused(settings: Any, tmp_path: Any) -> None:
    (tmp_path / "page.html").write_text("<p>$x</p>")
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.dummy.TemplateStrings", "DIRS": [tmp_path]}]

    class Foreign(LiveView):
        template_name = "page.html"

    with pytest.raises(ImproperlyConfigured, match=r'Foreign: "page.html" is not found by a DjangoTemplates engine'):
        Foreign().get_template()


def test_inline_templates_are_parsed_once_per_class() -> None:
    assert Product().get_template() is Product().get_template()
    assert Product().get_template() is not Titled().get_template()


def test_pushed_payloads_are_copied() -> None:
    view = Product()
    payload = {"ids": [1, (2, 3)]}
    view.push_event("saved", payload)
    payload.clear()
    assert context_of(view).outbox == [("saved", {"ids": [1, [2, 3]]})]


@pytest.mark.parametrize("payload", [object(), {1, 2}, float("nan"), {(1, 2): 3}])
def test_a_payload_that_json_cannot_hold_is_refused(payload: object) -> None:
    with pytest.raises(TypeError, match=r'^Product.push_event\("saved"\): the payload must be what JSON can hold'):
        Product().push_event("saved", payload)


@dataclass
class Compared(LiveView):
    template = "<p>{{ n }}</p>"
    n: int = 0

    @event_handler
    def push(self) -> None:
        self.push_event("saved", self.n)


urlpatterns += [path("compared/", Compared.as_view())]


async def test_a_view_without_hash_pushes_events() -> None:
    async with Browser() as browser:
        page = await browser.open("/compared/")
        assert await page.event("push") == [1, 0, 0, 0, {"push": [["saved", 0]]}]


def test_equal_views_have_outboxes_of_their_own_that_go_with_them() -> None:
    one, other = Compared(), Compared()
    one.push()
    assert [context_of(view).outbox for view in (one, other)] == [[("saved", 0)], []]
    known = ref(context_of(one))
    del one
    other.push()
    assert known() is None
    assert context_of(other).outbox == [("saved", 0)]


@pytest.mark.parametrize("mount", [lambda self: None, lambda self, *, request: None, lambda self, **kwargs: None])
def test_a_mount_without_request_is_explained(mount: Any) -> None:
    view_class = type("Forgetful", (LiveView,), {"mount": mount})
    view = view_class()
    View.setup(view, RequestFactory().get("/"))
    with pytest.raises(TypeError, match=r"^Forgetful\.mount\(self.*\) does not take the request\."):
        mount_view(view, RequestFactory().get("/"))


@pytest.mark.parametrize("mount", [lambda self, *args: None, lambda *args, **kwargs: None])
def test_a_mount_may_take_the_request_as_one_of_many(mount: Any) -> None:
    view = type("Taking", (LiveView,), {"mount": mount})()
    View.setup(view, RequestFactory().get("/"), pk=5)
    mount_view(view, RequestFactory().get("/"))
