"""The table that all contestants show, and what an operation is for each of them.

    Table().operate("create", 2)   {"replace": [[1, "neat brown lamp"], [2, "tall grey desk"]]}

The operation changes the table and returns the message that a hand-written page needs to do the
same. Labels depend on the number of the row alone, so that two tables with the same operations
behind them are equal.
"""

import random
import re
from typing import Any, Protocol

Row = dict[str, Any]
Message = dict[str, Any]

ADJECTIVES = [
    "neat",
    "tall",
    "short",
    "long",
    "large",
    "small",
    "old",
    "new",
    "clean",
    "plain",
    "fancy",
    "cheap",
    "expensive",
    "odd",
    "handy",
    "helpful",
]
COLOURS = [
    "red",
    "yellow",
    "blue",
    "green",
    "pink",
    "brown",
    "purple",
    "white",
    "black",
    "orange",
    "grey",
]
THINGS = [
    "table",
    "chair",
    "house",
    "lamp",
    "desk",
    "car",
    "pony",
    "cookie",
    "sandwich",
    "burger",
    "pizza",
    "mouse",
    "keyboard",
    "shelf",
]

# What a page shows, in its HTML without the comments: class names that are not empty, and pieces of
# text.
SHOWN = r"""class="[^"]+"|>[^<>]*[^<>\s][^<>]*"""


def shown(html: str) -> str:
    return "\n".join(re.findall(SHOWN, re.sub("<!--.*?-->", "", html)))


class State(Protocol):
    rows: list[Row]
    selected: int
    clicks: int
    last: int


class Table:
    """A table in memory; the server's page has the same attributes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.selected = self.clicks = self.last = 0


def operate(table: State, name: str, value: int) -> Message:
    """Change `table` by one of the functions below."""
    message: Message = OPERATIONS[name](table, value)
    return message


def create(table: State, count: int) -> Message:
    table.selected = 0
    table.rows = more(table, count)
    return {"replace": compact(table.rows)}


def append(table: State, count: int) -> Message:
    rows = more(table, count)
    table.rows = table.rows + rows
    return {"append": compact(rows)}


def update(table: State, step: int) -> Message:
    table.rows = [row if at % step else {**row, "label": row["label"] + " !!!"} for at, row in enumerate(table.rows)]
    return {"labels": [[at, table.rows[at]["label"]] for at in range(0, len(table.rows), step)]}


def select(table: State, at: int) -> Message:
    table.selected = table.rows[at]["id"]
    return {"select": table.selected}


def swap(table: State, a: int) -> Message:
    b = len(table.rows) - 1 - a
    rows = [*table.rows]
    rows[a], rows[b] = rows[b], rows[a]
    table.rows = rows
    return {"swap": [a, b]}


def remove(table: State, at: int) -> Message:
    number = table.rows[at]["id"]
    table.rows = table.rows[:at] + table.rows[at + 1 :]
    return {"remove": number}


def clear(table: State, _: int) -> Message:
    table.rows = []
    return {"replace": []}


def count(table: State, number: int) -> Message:
    table.clicks = number
    return {"clicks": number}


OPERATIONS: dict[str, Any] = {
    function.__name__: function for function in (create, append, update, select, swap, remove, clear, count)
}


def more(table: State, number: int) -> list[Row]:
    first, table.last = table.last + 1, table.last + number
    return [{"id": row, "label": label(row)} for row in range(first, table.last + 1)]


def label(number: int) -> str:
    chance = random.Random(number)
    return " ".join(chance.choice(words) for words in (ADJECTIVES, COLOURS, THINGS))


def compact(rows: list[Row]) -> list[list[Any]]:
    return [[row["id"], row["label"]] for row in rows]
