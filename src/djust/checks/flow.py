"""Which values the methods of a view may assign to it, found by reading them.

    client = boto3.client("s3")        # client: {Made(Verdict("client", True))}
    self.tools = {"s3": client}        # tools: {Many({Made(…)})}

Every method of the project's classes is run in the abstract, statement by statement: branches are
followed side by side and joined, so that what is overwritten on every way is forgotten. A name
stands for a set of possible values (`values.py`, `expressions.py`); the empty set is what nothing
is known about. Functions of the project are followed where their annotations say nothing.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from djust.checks.expressions import Assigned, Expressions, Scan
from djust.checks.services import Verdict
from djust.checks.sources import Definition, Function, Project, Source, decorators
from djust.checks.values import (
    FUNCTION,
    GENERATOR,
    NOTHING,
    SENT,
    VIEW,
    Instance,
    Known,
    Made,
    Many,
    Value,
    Values,
    enters_itself,
    inside_of,
    joined,
    module_values,
    promised,
)
from djust.events.handlers import handler_functions
from djust.state.fields import state
from djust.views import LiveView

# How deep calls are followed.
_DEPTH = 5
# Decorators after which a function still gives what it gives.
_TRANSPARENT_NAMES = """
    staticmethod classmethod property cached_property cache lru_cache computed event_handler override final
    sensitive_variables
"""
_TRANSPARENT = frozenset(_TRANSPARENT_NAMES.split())
# Methods that get a class without saying so.
_OF_CLASSES = ("__new__", "__init_subclass__", "__class_getitem__")


class ViewScan:
    """What the code of one view class does to its instances.

    `names` are all attributes that are assigned; they are all there are while `closed`: until the
    view is given to code that is not read, or names are computed.
    """

    def __init__(self, view: type[LiveView], project: Project) -> None:
        self.view, self.project = view, project
        self.assigned: list[Assigned] = []
        self.attributes: dict[str, Values] = {}
        self.names: set[str] = set()
        self.closed = True
        self.active: list[object] = []
        self.memo: dict[object, Values] = {}
        classes = project.classes_of(view)
        # A second time, what other methods leave in private attributes is known.
        for _ in range(2):
            self.assigned, self.memo = [], {}
            for owner, found in classes:
                self.read_class(owner, found)
            for item in self.assigned:
                self.attributes[item.name] = self.attributes.get(item.name, NOTHING) | item.values

    def read_class(self, owner: type, definition: Definition[ast.ClassDef]) -> None:
        """Read the methods and fields of one class of the view."""
        handlers = handler_functions(owner)
        source, node, hidden = definition
        for statement in node.body:
            match statement:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._method(owner, source, statement, hidden, sent=statement.name in handlers)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                    self._field(owner, source, name, call, hidden)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call):
                    self._field(owner, source, name, call, hidden)

    def _method(self, owner: type, source: Source, node: Function, hidden: frozenset[str], *, sent: bool) -> None:
        if not node.args.args or node.name in _OF_CLASSES or decorators(node) & {"staticmethod", "classmethod"}:
            return
        receiver, *_ = node.args.args
        run = Run(self, source, hidden | source.bound(node), {receiver.arg: frozenset({VIEW})}, owner.__name__)
        run.parameters(node, sent=sent)
        run.function(node)

    def _field(self, owner: type, source: Source, name: str, call: ast.Call, hidden: frozenset[str]) -> None:
        run = Run(self, source, hidden, {}, owner.__name__)
        if Known(state) not in run.value(call.func):
            return
        values = run.value(call.args[0]) if call.args else NOTHING
        for keyword in call.keywords:
            if keyword.arg == "default":
                values |= run.value(keyword.value)
            elif keyword.arg == "default_factory":
                if isinstance(keyword.value, ast.Lambda):
                    values |= run.value(keyword.value.body)
                else:
                    values |= run.called(run.value(keyword.value), ast.Call(keyword.value, [], []), [])
        self.assigned.append(Assigned(owner.__name__, name, values, source, call, "its declaration"))

    def result(
        self, function: Any, args: list[Values], named: Mapping[str, Values] | None = None, *, is_method: bool = False
    ) -> Values:
        """What a function of the project gives; what a method assigns is found elsewhere."""
        found = self.project.function_definition(function)
        if found is None or len(self.active) >= _DEPTH or function in self.active:
            return NOTHING
        source, node, hidden = found
        if not decorators(node) <= _TRANSPARENT:
            return NOTHING
        key = (function, tuple(args), frozenset((named or {}).items()))
        if key not in self.memo:
            run = Run(self, source, hidden | source.bound(node), dict(named or {}), self.view.__name__)
            run.records = not is_method
            run.env.update(zip([arg.arg for arg in (*node.args.posonlyargs, *node.args.args)], args, strict=False))
            self.active.append(function)
            self.memo[key] = _given_by(inspect.unwrap(function), run.result(node))
            self.active.pop()
        return self.memo[key]


def _given_by(function: Any, returned: Values) -> Values:
    """What calling gives, if `return` gives `returned`."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return frozenset({GENERATOR})
    if inspect.iscoroutinefunction(function):
        return frozenset({Made(Verdict("coroutine", False), returned)})
    return returned


class Run(Expressions):
    """One function that is read: `env` holds its names, and the attributes as "self.name"."""

    def __init__(self, scan: Scan, source: Source, hidden: frozenset[str], env: dict[str, Values], owner: str) -> None:
        super().__init__(scan, source, hidden, env)
        self.owner = owner
        self.records = True
        self.returned: Values = NOTHING
        self.ends: list[dict[str, Values]] = []

    def parameters(self, node: Function, *, sent: bool = False) -> None:
        """Bind the parameters to what annotations say or a browser sends, never to defaults."""
        args = node.args
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs):
            if arg.arg not in self.env:
                declared = promised(arg.annotation, self.value)
                is_text = declared is None or Instance(str, declared=True) in declared
                self.env[arg.arg] = (declared or NOTHING) | ({SENT} if sent and is_text else NOTHING)
        if sent and args.kwarg:
            self.env[args.kwarg.arg] = frozenset({Many(frozenset({SENT}))})

    def function(self, node: Function) -> Values:
        """Read the body; attributes that the view has afterwards are added to the scan."""
        if not self.block(node.body):
            self.ends.append(self.env)
        for name, statement in self.touched.items() if self.records else ():
            values = frozenset().union(*(end.get(f"self.{name}", NOTHING) for end in self.ends))
            self.scan.names.add(name)
            by_node: dict[ast.AST, set[Value]] = {statement: set()} if not values else {}
            for value in values:
                by_node.setdefault(self.nodes.get((name, value), statement), set()).add(value)
            for where, some in by_node.items():
                told = f"{node.name}()"
                self.scan.assigned.append(Assigned(self.owner, name, frozenset(some), self.source, where, told))
        return self.returned

    def result(self, node: Function) -> Values:
        """What a function gives whose arguments stand in `env`; its annotation is believed."""
        self.parameters(node)
        declared = promised(node.returns, self.value)
        is_given_view = any(VIEW in values for values in self.env.values())
        found = self.function(node) if declared is None or (self.records and is_given_view) else NOTHING
        return found if declared is None else declared

    # Statements

    def block(self, statements: Iterable[ast.stmt]) -> bool:
        """Read statements; whether nothing after them is reached."""
        return any(self.statement(statement) for statement in statements)

    def statement(self, node: ast.stmt) -> bool:
        """Read one statement; whether the next one is not reached."""
        match node:
            case ast.Assign():
                values = self.value(node.value)
                for target in node.targets:
                    self.assign(target, values, node, node.value)
            case ast.AnnAssign(value=None):
                pass
            case ast.AnnAssign(value=ast.expr() as given):
                values = self.value(given)
                if not values and isinstance(given, ast.Call | ast.Await | ast.Name | ast.Attribute | ast.Subscript):
                    values = promised(node.annotation, self.value) or NOTHING
                self.assign(node.target, values, node, given)
            case ast.AugAssign():
                self.assign(node.target, self.value(node.target) | self.value(node.value), node)
            case ast.Return():
                self.returned |= self.value(node.value) if node.value else NOTHING
                self.ends.append(dict(self.env))
                return True
            case ast.Raise() | ast.Continue() | ast.Break():
                return isinstance(node, ast.Raise)
            case ast.Delete():
                for target in node.targets:
                    self.env.pop(self.key(target) or "", None)
            case ast.Expr():
                self.value(node.value)
            case ast.If():
                return self._if(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._inner(node)
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case _:
                return self._compound(node)
        return False

    def _compound(self, node: ast.stmt) -> bool:
        match node:
            case ast.For() | ast.AsyncFor():
                self.assign(node.target, inside_of(self.value(node.iter)), node)
                self._branches([(node.body, []), ([], [])])
                return self.block(node.orelse)
            case ast.While():
                self.value(node.test)
                self._branches([(node.body, []), ([], [])])
                return self.block(node.orelse)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    values = self.value(item.context_expr)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, frozenset(filter(enters_itself, values)), node)
                return self.block(node.body)
            case ast.Try() | ast.TryStar():
                # What a handler finds is any state on the way: that before and that after are
                # joined.
                before = dict(self.env)
                ended = self.block([*node.body, *node.orelse])
                after = self.env
                ways = [] if ended else [after]
                for handler in node.handlers:
                    self.env = joined([before, after])
                    if handler.name:
                        raised = self.value(handler.type)
                        classes = [v.value for v in raised if isinstance(v, Known) and isinstance(v.value, type)]
                        self.env[handler.name] = frozenset(map(Instance, classes))
                    if not self.block(handler.body):
                        ways.append(self.env)
                self.env = joined(ways) if ways else after
                return self.block(node.finalbody) or not ways
            case ast.Match():
                self.value(node.subject)
                return self._branches([*((case.body, [node.subject]) for case in node.cases), ([], [])])
        return False

    def _if(self, node: ast.If) -> bool:
        self.value(node.test)
        negated = isinstance(node.test, ast.UnaryOp)
        # What was compared is, where that holds, one of the values that the author has thought of.
        trusted: dict[bool, list[ast.expr]] = {True: [], False: []}
        for test in ast.walk(node.test):
            if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.In | ast.Eq | ast.NotIn | ast.NotEq):
                trusted[isinstance(test.ops[0], ast.In | ast.Eq) is not negated] += [test.left, *test.comparators]
        return self._branches([(node.body, trusted[True]), (node.orelse, trusted[False])])

    def _branches(self, ways: list[tuple[list[ast.stmt], list[ast.expr]]]) -> bool:
        """Read each body from here, some expressions trusted; whether none of them goes on."""
        before, ends = self.env, []
        for body, trusted in ways:
            self.env = dict(before)
            for expression in trusted:
                if (key := self.key(expression)) and key in self.env:
                    self.env[key] -= {SENT}
            if not self.block(body):
                ends.append(self.env)
        self.env = joined(ends) if ends else before
        return not ends

    def _inner(self, node: Function) -> None:
        """A function inside: it may run, and see the view under the name that it has here."""
        run = Run(self.scan, self.source, self.hidden, dict(self.env), self.owner)
        for arg in ast.walk(node.args):
            if isinstance(arg, ast.arg):
                run.env[arg.arg] = NOTHING
        run.function(node)
        self.env[node.name] = frozenset({FUNCTION})

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                values = module_values(name)
            else:
                values = self.attribute_of(module_values(node.module or ""), alias.name) if not node.level else NOTHING
            self.env[alias.asname or alias.name.partition(".")[0]] = values
