"""Which methods a browser may call, and how what it sends becomes a call."""

import logging
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from django.test import override_settings

from djust import LiveView, event_handler
from djust.events.handlers import handlers_of, refusal
from djust.exceptions import ParameterError

if TYPE_CHECKING:
    from elsewhere import Unknown  # type: ignore[import-not-found]


def renaming(function: Any) -> Any:
    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Shop(LiveView):
    @event_handler
    def pick(self, name: str, amount: int = 1) -> None: ...

    @event_handler()
    async def load(self, **kwargs: Any) -> None: ...

    @event_handler
    def rate(self, stars: int, /, *notes: str, public: bool = False) -> None: ...

    @event_handler
    def score(self, home: int, away: int = 0, /) -> None: ...

    @event_handler
    def anything(this, value, **rest: int) -> None: ...

    @renaming
    @event_handler
    def wrapped(self, n: int) -> None: ...

    def plain(self) -> None: ...

    def _private(self) -> None: ...


class BigShop(Shop):
    def pick(self, name: str, amount: int = 1) -> None: ...

    @event_handler
    def sell(self) -> None: ...


def bind(name: str, args: list[Any], params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    return handlers_of(Shop)[name].bind(args, params)


def test_only_decorated_methods_are_handlers() -> None:
    assert set(handlers_of(Shop)) == {"pick", "load", "rate", "score", "anything", "wrapped"}


def test_handlers_are_inherited_but_an_override_must_be_decorated_too() -> None:
    assert set(handlers_of(BigShop)) == {"load", "rate", "score", "anything", "wrapped", "sell"}


def test_a_handler_knows_whether_it_is_asynchronous() -> None:
    assert {name: handler.is_async for name, handler in handlers_of(BigShop).items() if name in ("load", "sell")} == {
        "load": True,
        "sell": False,
    }


def test_arguments_fill_parameters_by_position() -> None:
    assert bind("pick", ["pear", "3"], {}) == ([], {"name": "pear", "amount": 3})


def test_params_fill_parameters_by_name() -> None:
    assert bind("pick", [], {"amount": "3", "name": "pear"}) == ([], {"name": "pear", "amount": 3})


def test_an_argument_by_position_wins_over_a_param_of_the_same_name() -> None:
    assert bind("pick", ["pear"], {"name": "apple"}) == ([], {"name": "pear"})


def test_defaults_stand_for_what_was_not_sent() -> None:
    assert bind("pick", [], {"name": "pear"}) == ([], {"name": "pear"})


def test_positional_only_parameters_and_star_args_are_filled() -> None:
    assert bind("rate", ["5", "good", 7], {"public": "on"}) == ([5, "good", "7"], {"public": True})
    assert bind("rate", [], {"stars": 4}) == ([4], {})
    assert bind("score", ["3"], {}) == ([3, 0], {})


def test_rest_parameters_are_passed_only_where_the_handler_takes_them() -> None:
    assert bind("load", [], {"a": 1, "b": [2]}) == ([], {"a": 1, "b": [2]})
    assert bind("pick", [], {"name": "pear", "other": 1}) == ([], {"name": "pear"})
    assert bind("anything", [None], {"x": "1"}) == ([], {"value": None, "x": 1})


@pytest.mark.parametrize("name", ["__class__", "__init__", "__dict__", "self", "this", ""])
def test_strange_names_do_no_harm(name: str) -> None:
    args, kwargs = bind("anything", [1], {name: 5})
    Shop().anything(*args, **kwargs)
    args, kwargs = bind("load", [], {name: 5})
    Shop().load(*args, **kwargs).close()


def test_a_missing_parameter_refuses_the_event() -> None:
    with pytest.raises(ParameterError, match=r'^Shop.pick: parameter "name" is missing.$'):
        bind("pick", [], {})


def test_too_many_arguments_refuse_the_event() -> None:
    with pytest.raises(ParameterError, match=r"^Shop.pick takes at most 2 arguments by position; 3 came.$"):
        bind("pick", ["a", 1, 2], {})


def test_a_value_that_does_not_fit_stands_only_in_the_detail() -> None:
    with pytest.raises(ParameterError) as caught:
        bind("pick", [], {"name": "pear", "amount": "s3cret"})
    assert str(caught.value) == 'Shop.pick: parameter "amount" must be int.'
    assert caught.value.detail == "Got 's3cret'."


def test_unknown_parameters_are_reported_once_in_debug(caplog: pytest.LogCaptureFixture) -> None:
    class Quiet(LiveView):
        @event_handler
        def go(self) -> None: ...

    handler = handlers_of(Quiet)["go"]
    handler.bind([], {"nmae": 1})
    assert caplog.messages == []
    with override_settings(DEBUG=True):
        handler.bind([], {"nmae": 1, "value": "", "field": ""})
        handler.bind([], {"nmae": 1})
    assert caplog.messages == ['Quiet.go has no parameter "nmae", which the browser sent; it was ignored.']
    assert caplog.records[0].levelno == logging.WARNING


def test_a_refusal_says_what_was_asked_for_and_what_there_is() -> None:
    error = refusal(BigShop, "pick")
    assert str(error) == "BigShop.pick is not an event handler."
    assert error.detail == (
        'The browser asked for "pick"; handlers of BigShop are "anything", "load", "rate", "score", "sell", "wrapped". '
        "Decorate the method with @event_handler."
    )


def test_names_are_shown_so_that_no_log_is_fooled() -> None:
    assert str(refusal(Shop, "x\nERROR")) == r"Shop.x\nERROR is not an event handler."
    assert len(str(refusal(Shop, "x" * 1000))) < 150


def test_private_methods_cannot_be_handlers() -> None:
    with pytest.raises(TypeError, match="names that begin with an underscore are private"):

        class Wrong(LiveView):
            @event_handler
            def _save(self) -> None: ...


def test_only_methods_can_be_handlers() -> None:
    with pytest.raises(TypeError, match="@event_handler decorates methods; got 5"):
        event_handler(5)  # type: ignore[type-var]


def test_an_annotation_that_no_browser_can_fill_is_reported_when_the_class_is_used() -> None:
    class Wrong(LiveView):
        @event_handler
        def upload(self, content: bytes) -> None: ...

    with pytest.raises(TypeError, match=r'^Wrong.upload: parameter "content" is annotated bytes, and a browser cannot'):
        handlers_of(Wrong)


def test_annotations_in_quotes_are_resolved() -> None:
    class Quoted(LiveView):
        @event_handler
        def go(self, number: "int | None") -> "Unknown": ...

    assert handlers_of(Quoted)["go"].bind([], {"number": "5"}) == ([], {"number": 5})


def test_an_annotation_that_cannot_be_resolved_is_reported() -> None:
    class Wrong(LiveView):
        @event_handler
        def go(self, thing: "Unknown") -> None: ...

    with pytest.raises(
        TypeError, match=r"^Wrong.go: an annotation cannot be resolved \(name 'Unknown' is not defined\)"
    ):
        handlers_of(Wrong)
