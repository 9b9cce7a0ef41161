import { beforeEach, describe, expect, test } from "vitest";
import { move, type Span } from "../../../src/core/dom/spans";
import { arrange, type Block, findRows, pairs, place, rowNodes, rowStart } from "../../../src/core/tree/rows";
import { Random } from "../../random";

const SINGLE = { single: true, lead: 0, trail: 0 };
const COMMENTED = { single: false, lead: 0, trail: 0 };

function spanOf(html: string): Span {
  document.body.innerHTML = html;
  return { parent: document.body, before: null, after: null };
}

beforeEach(() => {
  document.body.innerHTML = "";
});

test("a flat list is read in pairs, and nothing of 0", () => {
  expect(pairs([1, "a", 2, "b"])).toEqual([
    [1, "a"],
    [2, "b"],
  ]);
  expect(pairs(0)).toEqual([]);
  expect(pairs(undefined)).toEqual([]);
});

const block = <R>(at: number, ...rows: R[]): Block<R> => ({ at, rows, put() {} });

test("the example of the module: removes leave [b, c, d], d moves to 0, x is inserted at 1", () => {
  expect(arrange(["b", "c"], [block(0, "d"), block(1, "x")])).toEqual(["d", "x", "b", "c"]);
});

test("a place that nothing fills is an error", () => {
  expect(() => arrange(["a"], [block(3, "x")])).toThrow("a row is missing");
});

/**
 * The blocks and the rest that turn `from` into `to`, as a server with a longest increasing
 * subsequence would make them.
 */
function operations(
  from: string[],
  to: string[],
  random: Random,
): { rest: string[]; blocks: Block<string>[] } {
  const kept = to.filter((row) => from.includes(row));
  const staying = new Set<string>();
  let last = -1;
  for (const row of kept)
    if (from.indexOf(row) > last && random.below(4)) {
      last = from.indexOf(row);
      staying.add(row);
    }
  const blocks = to.flatMap((row, at) => (staying.has(row) ? [] : [block(at, row)]));
  return { rest: from.filter((row) => staying.has(row)), blocks };
}

test("any order is reached from any other, in the list and in the page", () => {
  const random = new Random(5);
  const names = [..."abcdefghijklmnop"];
  for (let round = 0; round < 120; round++) {
    const from = random.shuffled(names).slice(0, random.below(12));
    const to = random.shuffled(names).slice(0, random.below(12));
    const { rest, blocks } = operations(from, to, random);
    expect(arrange(rest, blocks)).toEqual(to);
    expect(placed(from, to, blocks)).toBe(to.join(""));
  }
});

function placed(from: string[], to: string[], blocks: Block<string>[]): string {
  const span = spanOf(from.map((name) => `<i>${name}</i>`).join(""));
  const elements = new Map([...document.body.children].map((element) => [element.textContent, element]));
  for (const name of from) if (!to.includes(name)) elements.get(name)?.remove();
  const node = (name: string): Element => {
    const element = elements.get(name) ?? document.createElement("i");
    element.textContent = name;
    elements.set(name, element);
    return element;
  };
  place(
    to,
    blocks.map((b) => ({ ...b, put: (before) => move(document.body, b.rows.map(node), before) })),
    span,
    node,
  );
  return document.body.textContent;
}

describe("the rows of a span", () => {
  test("are its marked elements; other elements are not ours", () => {
    const span = spanOf("<li dj>a</li><li>foreign</li> <li dj><b dj></b></li>");
    expect(findRows(span, SINGLE).map((row) => row.textContent)).toEqual(["a", ""]);
  });

  test("or begin with comments; those of inner loops are skipped", () => {
    const span = spanOf("<!--,-->a<!--[--><!--,-->x<!--,-->y<!--]--><!--,-->b");
    const rows = findRows(span, COMMENTED);
    expect(rows.map((row) => row.nextSibling?.nodeValue)).toEqual(["a", "b"]);
    expect(rowNodes(rows[0] as ChildNode, rows[1] as ChildNode, COMMENTED)).toHaveLength(8);
  });

  test("end where the span ends", () => {
    document.body.innerHTML = "<!--[--><li dj>a</li><!--]--><li dj>b</li>";
    const [before, , after] = document.body.childNodes;
    expect(
      findRows({ parent: document.body, before: before ?? null, after: after ?? null }, SINGLE),
    ).toHaveLength(1);
  });
});

describe("the white space of a row", () => {
  const shape = { single: true, lead: 2, trail: 1 };

  function texts(): string[] {
    return [...document.body.childNodes].map((node) => node.nodeValue ?? (node as Element).id);
  }

  test("is split off the text it shares with its neighbours", () => {
    spanOf("  <i id=a></i>\n  <i id=b></i>\n");
    expect(rowNodes(document.getElementById("b") as Element, null, shape)).toHaveLength(3);
    expect(texts()).toEqual(["  ", "a", "\n", "  ", "b", "\n"]);
  });

  test("may be in several text nodes already", () => {
    spanOf(" <i id=a></i>");
    document.body.prepend(" ");
    const a = document.getElementById("a") as Element;
    expect(rowStart(a, 2)).toBe(document.body.firstChild);
    expect(rowNodes(a, null, shape)).toHaveLength(3);
  });

  test("ends at foreign nodes", () => {
    spanOf("<b id=x></b> <i id=a></i><b id=y></b>");
    expect(rowNodes(document.getElementById("a") as Element, null, shape)).toHaveLength(2);
  });
});
