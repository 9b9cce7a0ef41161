"""Loops over querysets fetch what they read at once; everything they show is what Django shows."""

# ruff: noqa: E501, PLW0108 - one template, one line; one queryset, one lambda

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.core.paginator import Paginator
from django.db import connection, models
from django.db.models import Count, F, Prefetch, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.template import Context
from django.template.base import Template
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from djust import LiveView
from djust.live.page import Page
from djust.template import compile_template
from djust.template.context import page_context, rendering
from djust.template.inheritance import resolve_chain
from djust.template.lower import Lowering
from djust.template.nodes import For, all_nodes
from djust.template.optimize.lookups import lookups_of
from tests.myapp.models import City, Customer, Invoice, Line, Note, Order, Product, Tag
from tests.test_template import engine, without_marks

pytestmark = pytest.mark.django_db

PARTIALS = {"row.html": "[{{ order.customer.name }}]", "name.html": "[{{ who.name }}]"}


@pytest.fixture(autouse=True)
def shop(db: None) -> None:
    cities = City.objects.bulk_create([City(name=f"c{n}") for n in range(3)])
    customers = Customer.objects.bulk_create(
        [Customer(name=f"<n{n}>", city=cities[n % 3] if n % 4 else None) for n in range(7)]
    )
    tags = Tag.objects.bulk_create([Tag(name=f"t{n}") for n in range(4)])
    products = Product.objects.bulk_create([Product(name=f"p{n}") for n in range(5)])
    for n in range(10):
        order = Order.objects.create(
            customer=customers[n % 7], second=customers[n % 5] if n % 3 else None, open=n == 2, number=n * 7 % 10
        )
        order.tags.set(tags[: n % 4])
        Note.objects.bulk_create([Note(order=order, hidden=n % 2 == 0), Note(order=order)])
        Line.objects.bulk_create([Line(order=order, product=products[(n + k) % 5]) for k in range(n % 3)])
        if n % 2:
            Invoice.objects.create(order=order, total=n)


def template_of(source: str) -> Template:
    return engine(PARTIALS).from_string(source)


def by_django(template: Template, data: dict[str, Any]) -> str:
    return str(template.render(Context(data)))


def by_render(template: Template, data: dict[str, Any]) -> str:
    context = Context(data)
    context.template = template
    with rendering(context, template):
        return str(compile_template(template).render(context))


def by_evaluate(template: Template, data: dict[str, Any], **options: Any) -> str:
    context = page_context(template, HttpRequest(), data, **options)
    with rendering(context, template):
        fragment, values = compile_template(template).evaluate(context)
    return without_marks(fragment.html(values))


WAYS = [by_render, by_evaluate]


def counted(way: Callable[..., str], template: Template, data: dict[str, Any], **options: Any) -> tuple[str, int]:
    connection.queries_log.clear()
    with CaptureQueriesContext(connection) as queries:
        html = way(template, data, **options)
    return html, len(queries)


def costs(source: str, orders: Callable[[], Any] = Order.objects.all) -> tuple[int, int]:
    """Queries of Django and ours, after a look at the output: here and in a second rendering of the
    same data.
    """
    template = template_of(source)
    data = {"orders": orders()}
    expected, django = counted(by_django, template, data)
    second, django_again = counted(by_django, template, data)
    ours = set()
    for way in WAYS:
        data = {"orders": orders()}
        html, count = counted(way, template, data)
        assert html == expected
        html, again = counted(way, template, data)
        assert html == second
        assert again <= django_again
        ours.add(count)
    assert len(ours) == 1
    assert ours <= set(range(django + 1))
    return django, ours.pop()


def test_a_list_of_a_hundred_orders_costs_one_query() -> None:
    customers = list(Customer.objects.all())
    Order.objects.bulk_create([Order(customer=customers[n % 7], number=n) for n in range(90)])
    assert costs("{% for order in orders %}<li>{{ order.customer.name }}</li>{% endfor %}") == (101, 1)


@pytest.mark.parametrize(
    ("source", "queries"),
    [
        ("{% for o in orders %}{{ o.customer }}{% endfor %}", 1),
        ("{% for o in orders reversed %}{{ o.number }}{{ o.customer }}{% endfor %}", 1),
        ("{% for o in orders %}{{ forloop.counter }}{{ o.customer.city.name }}{% empty %}none{% endfor %}", 1),
        ("{% for o in orders %}{{ o.second.name }}/{{ o.second.city.name }};{% endfor %}", 1),
        ("{% for o in orders %}{{ o.invoice.total }},{% endfor %}", 1),
        ("{% for o in orders %}{% if o.invoice %}{{ o.invoice.order.number }}{% endif %}{% endfor %}", 1),
        ("{% for o in orders %}{% if o.open %}{{ o.customer.name }}{% endif %}{% endfor %}", 1),
        ("{% for o in orders %}{% if o.second.name == 'x' or o.customer.city %}1{% endif %}{% endfor %}", 1),
        ("{% for o in orders %}{{ o.number|add:o.customer.id }}{{ x|default:o.customer.name }}{% endfor %}", 1),
        (
            "{% for o in orders %}{% with c=o.customer %}{{ c.name }}{% with t=c.city %}{{ t.name }}{% endwith %}{% endwith %}{% endfor %}",
            1,
        ),
        ("{% for order in orders %}{% include 'row.html' %}{% endfor %}", 1),
        (
            "{% for o in orders %}{% include 'row.html' with order=o only %}{% include 'name.html' with who=o.second %}{% endfor %}",
            1,
        ),
        (
            "{% for o in orders %}{% filter upper %}{{ o.customer.name }}{% endfilter %}{% ifchanged o.customer.city.name %}x{% endifchanged %}{% endfor %}",
            1,
        ),
        (
            "<table>{% for o in orders %}<tr id='{{ o.id }}'><td title='{{ o.customer.name }}'>{{ o.second }}</td></tr>{% endfor %}</table>",
            1,
        ),
        ("{% for o in orders %}{% for line in o.lines.all %}{{ line.product.name }}{% endfor %};{% endfor %}", 2),
        (
            "{% for o in orders %}{% for line in o.lines.all %}{{ line.order.number }}{{ line.order.customer.name }}{% endfor %};{% endfor %}",
            8,
        ),
        ("{% for o in orders %}{{ o.lines.all|length }}{{ o.tags.all|join:',' }}{% endfor %}", 3),
        (
            "{% for o in orders %}{% if o.tags.all %}<ul>{% for t in o.tags.all %}<li>{{ t.name }}</li>{% endfor %}</ul>{% endif %}{% endfor %}",
            2,
        ),
        (
            "{% for o in orders %}{% for p in o.customer.orders.all %}{{ p.number }}{{ p.second.name }}{% endfor %};{% endfor %}",
            2,
        ),
        (
            "{% for o in orders %}{% with lines=o.lines.all %}{% for line in lines %}{{ line.product.name }}{% endfor %}{% endwith %}{% endfor %}",
            2,
        ),
        (
            "{% for o in orders %}{% for t in o.tags.all %}{% for p in t.order_set.all %}{{ p.number }}{% endfor %}{% endfor %};{% endfor %}",
            3,
        ),
        # One that is read only here and there: the first one's alone, the others together.
        (
            "{% for o in orders %}{% if o.open %}{% for line in o.lines.all %}{{ line.product.name }}{% endfor %}{% endif %}{% endfor %}",
            2,
        ),
        (
            "{% for o in orders %}{% if o.number > 3 %}{% for line in o.lines.all %}{{ line.product.name }}{% endfor %}{% endif %}{% endfor %}",
            3,
        ),
        # The queryset is used elsewhere, too.
        ("{% for o in orders %}{{ o.customer }}{% endfor %}{{ orders|length }}{% if orders %}!{% endif %}", 1),
        (
            "{% for o in orders %}{{ o.customer }}{{ orders|length }}{% endfor %}{% for o in orders %}{{ o.customer.name }}{% endfor %}",
            1,
        ),
        ("{% for o in orders %}{% for p in orders %}{{ p.customer }}{{ o.customer }}{% endfor %}{% endfor %}", 1),
    ],
)
def test_what_a_loop_reads_comes_with_its_items(source: str, queries: int) -> None:
    django, ours = costs(source)
    assert ours == queries
    assert django > ours or "o.open" in source or "{% for p in orders %}" in source


@pytest.mark.parametrize(
    "source",
    [
        "{% for o in orders %}{{ o.number }}{{ o.customer_id }}{% endfor %}",
        "{% for o in orders %}{{ o.owner.name }}{{ o.loose.name }}{% endfor %}",
        "{% for o in orders %}{{ o.notes.all|length }}{% endfor %}",
        "{% for o in orders %}{{ o.lines.count }}{{ o.lines.all.count }}{{ o.lines.first.id }}{% endfor %}",
        "{% for o in orders %}{{ o.lines.all.0.product.name }}{{ o.tags.all|first }}{% endfor %}",
        "{% for o in orders %}{% if o.open %}{% for l in o.lines.all %}{{ l.id }}{% endfor %}{% endif %}{{ o.lines.first.id }}{% endfor %}",
        "{% for o in orders %}{% with o=other %}{{ o.customer.name }}{% endwith %}{% endfor %}",
        "{% for o in orders %}{% for o in others %}{{ o.customer.name }}{% endfor %}{% endfor %}",
    ],
)
def test_what_cannot_be_fetched_at_once_costs_what_it_costs_in_django(source: str) -> None:
    django, ours = costs(source)
    assert ours == django


ALONE: dict[str, Callable[[], Any]] = {
    "sliced": lambda: Order.objects.all()[:5],
    "page": lambda: Paginator(Order.objects.all(), 4).page(2),
    "list": lambda: list(Order.objects.all()),
    "values": lambda: Order.objects.values("number", "customer"),
    "values_list": lambda: Order.objects.values_list("number", flat=True),
    "raw": lambda: Order.objects.raw("SELECT * FROM myapp_order ORDER BY id"),
    "union": lambda: Order.objects.filter(number=1).order_by().union(Order.objects.filter(number__gt=3).order_by()),
    "prefetched": lambda: Order.objects.prefetch_related("tags"),
    "prefetch": lambda: Order.objects.prefetch_related(Prefetch("lines", Line.objects.filter(product__name="p1"))),
    "to_attr": lambda: Order.objects.prefetch_related(Prefetch("lines", Line.objects.none(), to_attr="own")),
    "select_related": lambda: Order.objects.select_related("second"),
    "only": lambda: Order.objects.only("number"),
    "defer": lambda: Order.objects.defer("customer"),
    "locked": lambda: Order.objects.select_for_update(),
    "none": lambda: Order.objects.none(),
    "iterator": lambda: Order.objects.iterator(),
    "evaluated": lambda: _evaluated(Order.objects.all()),
}
READING = "{% for o in orders %}{{ o.number }}{{ o.customer.name }}{{ o.lines.all|length }};{% endfor %}"


def _evaluated(queryset: QuerySet[Any]) -> QuerySet[Any]:
    len(queryset)
    return queryset


SHAPED = {"values": 1, "values_list": 1, "raw": 21, "none": 0, "only": 22, "defer": 22, "prefetched": 4, "prefetch": 3}
SHAPED |= {"to_attr": 3, "evaluated": 2, "list": 2}


@pytest.mark.parametrize("name", ALONE)
def test_a_query_that_the_author_has_shaped_is_left_as_it_is(name: str) -> None:
    template = template_of(READING)
    html, django = counted(by_django, template, {"orders": ALONE[name]()})
    for way in WAYS:
        orders = ALONE[name]()
        with CaptureQueriesContext(connection) as queries:
            assert way(template, {"orders": orders}) == html
        assert not any("JOIN" in query["sql"] for query in queries[:1]) or name == "select_related"
        assert len(queries) == min(django, SHAPED.get(name, 3))


@pytest.mark.parametrize(
    ("before", "queries"),
    [
        ("{% if orders %}{% endif %}", 2),
        ("{{ orders|length }}", 2),
        ("{% with total=orders.count %}{{ total }}{% endwith %}", 2),
        ("{% if orders.exists %}{% endif %}", 2),
        ("{% for o in orders %}{{ o.number }}{% empty %}none{% endfor %}", 2),
    ],
)
def test_it_does_not_matter_where_a_queryset_is_evaluated_first(before: str, queries: int) -> None:
    django, ours = costs(before + "{% for o in orders %}{{ o.customer.name }}{% empty %}none{% endfor %}")
    assert (django in (11, 12), ours) == (True, queries)


def test_what_no_loop_reaches_is_not_fetched() -> None:
    source = "{% if orders %}{% if never %}{% for o in orders %}{{ o.customer.name }}{% endfor %}{% endif %}{% endif %}"
    assert costs(source) == (1, 1)
    # Only one item is asked: Django's own query, and no other.
    source = (
        "{% if orders %}{% for o in orders %}{% if o.open %}{{ o.customer.name }}{% endif %}{% endfor %}{% endif %}"
    )
    assert costs(source) == (2, 2)


def test_items_never_share_what_is_fetched_for_them() -> None:
    orders = _evaluated(Order.objects.all())
    by_render(
        template_of("{% for o in orders %}{{ o.customer.name }}{{ o.invoice.total }}{% endfor %}"), {"orders": orders}
    )
    assert len({id(order.customer) for order in orders}) == 10
    twice = [*Order.objects.filter(number=1), *Order.objects.filter(number=1)]
    by_render(template_of("{% for o in orders %}{{ o.invoice.total }}{% endfor %}"), {"orders": twice})
    assert [order.invoice.order is order for order in twice] == [True, True]


@pytest.mark.parametrize(
    ("body", "queries"),
    [
        ("{% firstof o.customer.name 'x' %}", 1),
        ("{% cycle o.customer.name o.second.name %}", 1),
        ("{% widthratio o.customer.id 7 100 %}", 1),
        ("{% widthratio o.customer.id 7 100 as w %}{{ w }}", 1),
        ("{% translate o.customer.name %}", 1),
        ("{% blocktranslate with n=o.customer.name %}{{ n }}{% endblocktranslate %}", 1),
        ("{% include missing|default:'name.html' with who=o.customer %}", 1),
        ("{% regroup o.lines.all by product.name as g %}{% for p in g %}{{ p.grouper }}{% endfor %}", 2),
        ("{% for l in o.lines.all %}{% firstof l.product.name %}{% endfor %}", 2),
    ],
)
def test_tags_that_django_renders_are_seen_through(body: str, queries: int) -> None:
    django, ours = costs(f"{{% for o in orders %}}{body};{{% endfor %}}")
    assert ours == queries < django


@pytest.mark.parametrize(
    "orders",
    [
        lambda: Order.objects.annotate(n=Count("lines")),
        lambda: Order.objects.filter(tags__name__gt="").distinct(),
        lambda: Order.objects.extra(where=["number > 3"]),
        lambda: Order.objects.annotate(name=RawSQL("number + 1", [])),
    ],
)
def test_nothing_is_joined_to_queries_that_would_notice(orders: Callable[[], Any]) -> None:
    with CaptureQueriesContext(connection) as queries:
        by_render(template_of(READING), {"orders": orders()})
    assert "customer" not in queries[0]["sql"].partition("FROM")[2].replace("customer_id", "")
    assert costs(READING, orders)[1] <= 3


@pytest.mark.parametrize(
    "orders",
    [
        lambda: Order.objects.filter(customer__name__contains="n"),
        lambda: Order.objects.filter(second__city__name="c1"),
        lambda: Order.objects.filter(tags__name__gt="t0"),
        lambda: Order.objects.exclude(second=None).order_by("second__name", "-pk"),
        lambda: Order.objects.order_by("?")[:0] | Order.objects.none(),
        lambda: Order.objects.alias(x=F("customer__name")).annotate(customer_name=F("x")).order_by("-number"),
        lambda: Customer.objects.get(name="<n1>").orders.all(),
        lambda: Order.objects.reverse().using("default"),
    ],
)
def test_any_other_queryset_keeps_its_rows(orders: Callable[[], Any]) -> None:
    costs(
        "{% for o in orders %}{{ o.pk }}{{ o.customer.name }}{{ o.second.name }}{{ o.invoice.total }}{{ o.tags.all|join:' ' }};{% endfor %}",
        orders,
    )


def test_an_instance_that_a_queryset_hands_to_its_rows_is_kept() -> None:
    customer = Customer.objects.get(name="<n0>")
    customer.name = "not saved"
    html, count = counted(
        by_render,
        template_of("{% for o in orders %}{{ o.customer.name }}{% endfor %}"),
        {"orders": customer.orders.all()},
    )
    assert (html, count) == ("not saved" * 2, 1)


def test_a_key_that_names_nothing_is_djangos_affair() -> None:
    Order.objects.update(loose_id=99)
    costs("{% for o in orders %}{{ o.loose }}{% if o.loose %}yes{% endif %}{% endfor %}")


def test_what_was_fetched_early_and_not_read_is_forgotten() -> None:
    template = template_of(
        "{% for o in orders %}{% if o.number in shown %}{{ o.customer.name }}{% endif %}{{ o.tags.all|join:',' }}{% endfor %}"
    )
    orders = Order.objects.all()
    before = by_evaluate(template, {"orders": orders, "shown": [3]})
    assert [type(order._state.fields_cache) for order in orders] == [dict] * 10
    assert [order.number for order in orders if Order.customer.is_cached(order)] == [3]
    assert not any("_prefetched_objects_cache" in vars(order) for order in orders)
    Customer.objects.update(name="new")
    Order.objects.get(number=3).tags.clear()
    after = by_evaluate(template, {"orders": orders, "shown": [3, 4]})
    assert "new" in after
    assert "n" in before
    assert after == by_django(template, {"orders": orders, "shown": [3, 4]})


def test_a_rendering_that_fails_leaves_nothing_behind() -> None:
    class Bomb:
        def __str__(self) -> str:
            raise ZeroDivisionError

    orders = Order.objects.all()
    template = template_of("{% for o in orders %}{{ o.tags.all|length }}{{ o.customer }}{{ bomb }}{% endfor %}")
    with pytest.raises(ZeroDivisionError):
        by_render(template, {"orders": orders, "bomb": Bomb()})
    assert [type(order._state.fields_cache) for order in orders] == [dict] * 10


def test_items_can_be_changed_copied_and_pickled_in_the_loop() -> None:
    other = Customer.objects.get(name="<n6>")
    seen = []

    class Visitor:
        def __call__(self) -> str:
            order = Order.objects.none() or orders[len(seen)]
            seen.append(
                (copy.copy(order).customer, pickle.loads(pickle.dumps(order)).customer, order.tags.all().count())
            )
            order.customer_id = other.pk
            return ""

    orders = Order.objects.all()
    _evaluated(orders)
    fresh = Order.objects.all()
    template = template_of("{% for o in orders %}{{ visit }}{{ o.customer.name }}{{ o.tags.all|length }}{% endfor %}")
    orders = fresh
    html = by_render(template, {"orders": fresh, "visit": Visitor()})
    assert html.count("&lt;n6&gt;") == 10
    assert [one for one, _, _ in seen] == [two for _, two, _ in seen]


def test_a_view_may_switch_it_off() -> None:
    template = template_of(READING)
    assert counted(by_evaluate, template, {"orders": Order.objects.all()}, auto_related=False)[1] == 21
    context = Context({"orders": Order.objects.all()})
    context.template = template
    context.auto_related = False  # type: ignore[attr-defined]
    with CaptureQueriesContext(connection) as queries, rendering(context, template):
        compile_template(template).render(context)
    assert len(queries) == 21


class Orders(LiveView):
    template = READING

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(orders=Order.objects.all(), **kwargs)


class OrdersAsTheyAre(Orders):
    auto_related = False


@pytest.mark.parametrize(("view", "queries"), [(Orders, 2), (OrdersAsTheyAre, 21)])
def test_pages_do_as_their_view_says(view: type[LiveView], queries: int) -> None:
    page = Page(view(), HttpRequest())
    with CaptureQueriesContext(connection) as captured:
        page.prepare()
    assert len(captured) == queries


@pytest.mark.skipif(not hasattr(QuerySet, "fetch_mode"), reason="Django has fetch modes since version 6.1")
def test_a_fetch_mode_that_the_author_has_chosen_is_kept() -> None:
    source = "{% for o in orders %}{{ o.customer.name }},{% endfor %}"
    modes: Any = vars(models)
    peers = Order.objects.all().fetch_mode(modes["FETCH_PEERS"])  # type: ignore[attr-defined]
    with CaptureQueriesContext(connection) as queries:
        html = by_render(template_of(source), {"orders": peers})
    assert (html, len(queries)) == (by_django(template_of(source), {"orders": Order.objects.all()}), 2)
    raising = Order.objects.all().fetch_mode(modes["FETCH_RAISE"])  # type: ignore[attr-defined]
    with pytest.raises(Exception, match=r"Fetching of Order.customer blocked") as error:
        by_render(template_of(source), {"orders": raising})
    assert type(error.value).__name__ == "FieldFetchBlocked"


@pytest.mark.skipif(not hasattr(QuerySet, "fetch_mode"), reason="Django has fetch modes since version 6.1")
def test_instances_have_djangos_fetch_mode_when_the_loop_is_over() -> None:
    source = "{% for o in orders %}{{ o.customer.city.name }}{{ o.invoice.total }}{{ see }}{% endfor %}"
    orders, seen = list(Order.objects.all()), []

    def see() -> str:
        seen.append([order.customer for order in orders[:2]])
        return ""

    by_render(template_of(source), {"orders": orders, "see": see})
    found: Any = [*orders, *seen[0], *(order.customer for order in orders)]
    assert {instance._state.fetch_mode for instance in found} == {vars(models)["FETCH_ONE"]}


def test_nothing_is_fetched_on_the_event_loop() -> None:
    @async_to_sync
    async def on_loop(way: Callable[..., str]) -> None:
        orders = Order.objects.all()
        with pytest.raises(SynchronousOnlyOperation):
            way(template_of(READING), {"orders": orders})
        assert orders._result_cache is None

    for way in WAYS:
        on_loop(way)


def test_thousands_of_items_are_prefetched_for_in_batches() -> None:
    customer = Customer.objects.all()[0]
    Order.objects.bulk_create([Order(customer=customer, number=n) for n in range(2_000)])
    assert counted(by_render, template_of(READING), {"orders": Order.objects.all()})[1] == 4


def lookups(source: str) -> list[str]:
    nodes = Lowering(resolve_chain(template_of(source), Context())).template()
    loop = next(node for node in all_nodes(nodes) if isinstance(node, For))
    return [f"{'.'.join(one.path)}{' all' * one.reads}{' certain' * one.certain}" for one in lookups_of(loop)]


def test_lookups_say_what_is_read_and_whether_it_is_certain() -> None:
    assert lookups("{% for o in xs %}{{ o.a.b }}{% if o.c and o.d %}{{ o.e }}{% endif %}{% endfor %}") == [
        "a.b certain",
        "c all certain",
        "d all",
        "e",
    ]
    assert lookups("{% for o in xs %}{% for p in o.ps.all %}{{ p.q }}{{ o.r }}{% endfor %}{% endfor %}") == [
        "ps.all all certain",
        "ps.all.*.q certain",
        "r",
    ]
    assert (
        lookups("{% for o in xs %}{% firstof 1 as o %}{{ o.a }}{% endfor %}{% for o in ys %}{{ o.b }}{% endfor %}")
        == []
    )
    assert lookups("{% for k, o in xs %}{{ o.a }}{% endfor %}") == []


ATOMS = [
    "{{ o.customer.name }}", "{{ o.second.city.name }}", "{{ o.second }}", "{{ o.invoice.total }}", "{{ o.loose }}",
    "{{ o.lines.all|length }}", "{{ o.lines.count }}", "{{ o.tags.all|join:' ' }}", "{{ o.tags.first }}",
    "{% for l in o.lines.all %}{{ l.product.name }}{{ l.order.customer.name }}{% endfor %}",
    "{% for t in o.tags.all reversed %}{{ t }}{{ o.second.name }}{% endfor %}", "{{ orders|length }}",
    "{% for p in o.customer.orders.all %}{{ p.invoice.order.number }}{{ p.lines.all|length }}{% endfor %}",
    "{% with c=o.second %}{{ c.name }}{{ c.seconded.all|length }}{% endwith %}", "{% firstof o.second.name o.customer.name %}",
    "{% include 'name.html' with who=o.second %}", "{{ o.owner.city.name }}",
    "{% ifchanged %}{{ o.second.name }}{% endifchanged %}", "{% cycle o.customer.name o.second.name %}",
]  # fmt: skip
TESTS = [
    "o.open",
    "o.second",
    "o.number > 4",
    "o.lines.all",
    "o.invoice",
    "not o.tags.all",
    "o.customer.city.name == 'c1'",
]
SETS: list[Callable[[], Any]] = [
    Order.objects.all,
    lambda: Order.objects.filter(second__city__name="c1"),
    lambda: Order.objects.order_by("-second__name", "pk"),
    lambda: Order.objects.filter(number__gt=6).distinct(),
    lambda: Order.objects.annotate(n=Count("tags")),
    lambda: Order.objects.only("number", "second"),
    lambda: Order.objects.defer("customer").filter(tags__name__gt="t0"),
    lambda: Order.objects.prefetch_related("tags", Prefetch("lines", Line.objects.filter(product__name="p1"))),
    lambda: Order.objects.select_related("second").order_by("-number")[1:7],
    lambda: list(Order.objects.filter(tags__name__gt="t0")),
    lambda: _evaluated(Order.objects.all()),
    lambda: Paginator(Order.objects.all(), 4).page(2),
    lambda: Order.objects.filter(open=True).order_by().union(Order.objects.order_by().filter(pk__gt=3)).order_by("pk"),
    lambda: Order.objects.raw("SELECT * FROM myapp_order ORDER BY id"),
    lambda: City.objects.all()[0].customer_set.all()[0].orders.all(),
]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_random_loops_show_the_same_with_no_more_queries(rng: random.Random) -> None:

    def body(depth: int) -> str:
        if depth and rng.random() < 0.4:
            return f"{{% if {rng.choice(TESTS)} %}}{body(depth - 1)}{{% else %}}{body(depth - 1)}{{% endif %}}"
        return "".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 3)))

    source = "".join(
        rng.choice(["", "{{ orders|length }}", "{% if orders %}!{% endif %}"])
        + f"{{% for o in orders{rng.choice(['', ' reversed'])} %}}{body(2)};{{% endfor %}}"
        for _ in range(rng.randint(1, 2))
    )
    costs(source, rng.choice(SETS))
