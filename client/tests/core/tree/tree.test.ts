import { afterEach, describe, expect, test } from "vitest";
import type { Entry, LoopChange } from "../../../src/core/protocol";
import { Random } from "../../random";
import { Shown } from "../../tree";

afterEach(() => {
  document.body.innerHTML = "";
});

const node = (selector: string): Element => document.querySelector(selector) as Element;

describe("text", () => {
  test("that is all there is in an element keeps its node", () => {
    const page = new Shown("<p dj>old</p>", [0, [["t"]]]);
    const text = node("p").firstChild;
    page.update([0, "new"]).equals("<p dj>new</p>").update([0, 7]).equals("<p dj>7</p>");
    expect(node("p").firstChild).toBe(text);
  });

  test("that is empty has no node", () => {
    const page = new Shown("<p dj>old</p>", [0, [["t"]]]);
    page.update([0, ""]).equals("<p dj></p>").update([0, "back"]).equals("<p dj>back</p>");
  });

  test("between comments leaves its neighbours alone", () => {
    const page = new Shown("<p>a <!--[-->1<!--]--> b <!--[--><!--]--></p>", [0, ["t", "t"]]);
    page.update([0, "2", 1, "<x>"]).equals("<p>a <!--[-->2<!--]--> b <!--[-->&lt;x&gt;<!--]--></p>");
    page.update([0, "", 1, ""]).equals("<p>a <!--[--><!--]--> b <!--[--><!--]--></p>");
  });

  test("becomes a region and text again", () => {
    const page = new Shown("<p dj>x</p><!--[-->y<!--]-->", [0, [["t"], "t"]]);
    page.update([0, ["<b>1</b> z"], 1, ["<i>2</i>"]]).equals("<p dj><b>1</b> z</p><!--[--><i>2</i><!--]-->");
    page.update([0, "x", 1, ""]).equals("<p dj>x</p><!--[--><!--]-->");
  });

  test("at the start of pre loses a line break as in the parser", () => {
    const page = new Shown("<pre dj>x</pre>", [0, [["t"]]]);
    page.update([0, "\n\ny"]).equals("<pre dj>\n\ny</pre>").update([0, "\n"]).equals("<pre dj></pre>");
  });
});

describe("attributes", () => {
  test("of one element come before its content", () => {
    const page = new Shown(`<a dj href="/" title="t">x</a>`, [0, [["@href", "@title", "t"]]]);
    page.update([0, "/a?b=1&c", 1, "", 2, "y"]).equals(`<a dj href="/a?b=1&amp;c" title="">y</a>`);
  });

  test("of a tag part are set and removed, others stay", () => {
    const page = new Shown(`<b dj id="i" hidden foreign="1"></b>`, [0, [["*id"]]]);
    page.update([0, { hidden: null, title: "<" }]).equals(`<b dj id="i" foreign="1" title="&lt;"></b>`);
  });

  test("in SVG keep their namespace", () => {
    const page = new Shown(`<svg><a dj></a></svg>`, [0, [["@xlink:href"]]]);
    page.update([0, "#x"]).equals(`<svg><a dj xlink:href="#x"></a></svg>`);
  });
});

test("raw text is the text of its element", () => {
  const page = new Shown("<style dj>a{}</style><textarea dj>x</textarea>", [0, [["r"], ["r"]]]);
  page.update([0, "b{}", 1, "<y>"]).equals("<style dj>b{}</style><textarea dj>&lt;y&gt;</textarea>");
});

test("the content of a template element is the content of its fragment", () => {
  const page = new Shown("<template dj>x</template>", [0, [["t"]]]);
  page.update([0, ["<b>1</b>"]]).equals("<template dj><b>1</b></template>");
});

describe("branches", () => {
  const one: [number, 0 | [0, string[][]], string] = [1, [0, [["t"]]], "<i dj></i>"];

  test("come, change and go", () => {
    const page = new Shown("a<!--[--><!--]-->b", [0, ["b"]]);
    page.update([0, [1, ["x"]]], one).equals("a<!--[--><i dj>x</i><!--]-->b");
    page.update([0, [1, [0, "y"], 1]]).equals("a<!--[--><i dj>y</i><!--]-->b");
    page.update([0, []]).equals("a<!--[--><!--]-->b");
  });

  test("of the first page are changed inside without a skeleton", () => {
    const page = new Shown("<p dj>a<!--[-->x<!--]--><b>c</b></p>", [0, [["b"]]]);
    page.update([0, [1, [0, "y"], 1]], [1, [0, ["t"]]]).equals("<p dj>a<!--[-->y<!--]--><b>c</b></p>");
  });

  test("may be one part and nothing else", () => {
    const page = new Shown("<p dj></p>", [0, [["b"]]]);
    page.update([0, [1, [[2, ["x"]]]]], [1, [0, ["=b"]], ""], [2, [0, ["=t"]], ""]).equals("<p dj>x</p>");
    page.update([0, [1, [0, [2, [0, "y"], 1]], 1]]).equals("<p dj>y</p>");
    page.update([0, [1, [0, []], 1]]).equals("<p dj></p>");
  });

  test("may have several roots, text among them", () => {
    const page = new Shown("<!--[--><!--]-->", [0, ["b"]]);
    page.update([0, [1, ["x", "y"]]], [1, [0, [["t"], "t"]], "s <i dj></i> t <!--[--><!--]-->"]);
    page.equals("<!--[-->s <i dj>x</i> t <!--[-->y<!--]--><!--]-->");
  });

  test("in SVG are made of SVG elements", () => {
    const page = new Shown("<svg dj></svg>", [0, [["b"]]]);
    page.update([0, [1, ["5"]]], [1, [0, [["@r"]]], "<circle dj/>", 1]);
    page.equals(`<svg dj><circle dj r="5"></circle></svg>`);
    expect(node("circle")).toBeInstanceOf(SVGElement);
  });

  test("that are not the one to be changed are an error", () => {
    const page = new Shown("<p dj></p>", [0, [["b"]]]);
    page.update([0, [1, ["x"]]], one);
    expect(() => page.update([0, [2, [0, "y"], 1]], [2, [0, [["t"]]]])).toThrow("another branch");
  });
});

describe("loops", () => {
  const li = (...rows: (string | number)[]) => rows.map((row) => `<li dj>${row}</li>`).join("");

  test("of the first page are updated, shortened, ordered and extended", () => {
    const page = new Shown(`<ul dj>${li("a", "b", "c", "d")}</ul>`, [0, [["l1"]]], [1, [[0, 0], [["t"]]]]);
    const [a, b, c, d] = [...document.querySelectorAll("li")];
    page.update([0, [[1, [0, "B"]]]]).equals(`<ul dj>${li("a", "B", "c", "d")}</ul>`);
    page.update([0, [0, [0, 1], [2, 0], [1, [["x"]]]]], [1, 0, "<li dj></li>"]);
    page.equals(`<ul dj>${li("d", "x", "B", "c")}</ul>`);
    const [first, , third, fourth] = [...document.querySelectorAll("li")];
    expect([first, third, fourth]).toEqual([d, b, c]);
    expect(a?.isConnected).toBe(false);
  });

  test("whose rows we made are written where their marks say, whatever others took away or put there", () => {
    const row = (...cells: string[]) => `<tr dj>${cells.map((cell) => `<td dj>${cell}</td>`).join("")}</tr>`;
    const html = (...rows: string[]) => `<table><tbody dj>${rows.join("")}</tbody></table>`;
    const plan: Entry = [
      1,
      [
        [0, 0],
        [[], ["t"], ["t"], ["t"]],
      ],
      `<tr dj><th></th><td dj></td><td dj></td><td dj></td></tr>`,
    ];
    const page = new Shown(html(), [0, [["l1"]]], plan);
    page.update([
      0,
      [
        0,
        0,
        0,
        [
          0,
          [
            ["a", "b", "c"],
            ["d", "e", "f"],
          ],
        ],
      ],
    ]);
    for (const head of document.querySelectorAll("th")) head.remove();
    page.update([0, [[0, [0, "A"], 1, [1, "E"]]]]).equals(html(row("A", "b", "c"), row("d", "E", "f")));
    node("tr").append(document.createElement("td"));
    page.update([0, [[0, [1, "B"]]]]).update([0, [[0, [2, "C"]]]]);
    page.equals(html(row("A", "B", "C").replace("</tr>", "<td></td></tr>"), row("d", "E", "f")));
    node("td").remove();
    for (const part of [0, 1, 2])
      expect(() => page.update([0, [[0, [part, "x"]]]])).toThrow("marks and plan differ");
  });

  const NUMBERS = [1, 31, 32, 33, 64, 70];
  const names = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`);

  test.each(NUMBERS)("come in any number, between others: %i", (count) => {
    const html = (...texts: string[]) =>
      `<ul><!--[-->${texts.map((text) => ` <li dj class="${text}">${text}</li>\n`).join("")}<!--]--></ul>`;
    const row: Entry = [1, [[1, 1], [["@class", "t"]]], " <li dj></li>\n"];
    const page = new Shown(html("a", "z"), [0, ["l1"]], row);
    page.update([0, [0, 0, 0, [1, names(count).map((name) => [name, name])]]]);
    page.equals(html("a", ...names(count), "z"));
    page.update([0, [[count, [0, "!", 1, "!"]]]]).equals(html("a", ...names(count - 1), "!", "z"));
  });

  test.each(NUMBERS)("come in any number with branches in them: %i", (count) => {
    const html = (...texts: string[]) =>
      `<ul dj>${texts.map((text) => `<li dj><!--[-->${text}<!--]--><b dj></b></li>`).join("")}</ul>`;
    const skeleton = "<li dj><!--[--><!--]--><b dj></b></li>";
    const row: Entry = [
      1,
      [
        [0, 0],
        [[], "t", ["b"]],
      ],
      skeleton,
    ];
    const page = new Shown(html(), [0, [["l1"]]], row, [2, [0, [["t"]]], "<i dj></i>"]);
    page.update([0, [0, 0, 0, [0, names(count).map((name) => [name, []])]]]).equals(html(...names(count)));
    page.update([0, [[count - 1, [0, "!", 1, [2, ["?"]]]]]]);
    page.equals(
      html(...names(count - 1), "!").replace(/<b dj><\/b><\/li><\/ul>$/, "<b dj><i dj>?</i></b></li></ul>"),
    );
  });

  test("move white space with their rows", () => {
    const row = (text: string) => `\n  <li dj>${text}</li>  `;
    const html = (...texts: string[]) => `<ul>x<!--[-->${texts.map(row).join("")}<!--]--></ul>`;
    const page = new Shown(html("a", "b", "c"), [0, ["l1"]], [1, [[3, 2], [["t"]]], row("")]);
    page.update([0, [0, 0, [2, 0]]]).equals(html("c", "a", "b"));
    page.update([0, [0, [1, 1], 0, [2, [["x"], ["y"]]]]]).equals(html("c", "b", "x", "y"));
    page.update([0, [0, [0, 4]]]).equals(html());
    page.update([0, [0, 0, 0, [0, [["z"]]]]]).equals(html("z"));
  });

  test("of rows that are no single element begin each with a comment", () => {
    const row = (text: string) => `<!--,--><dt>-</dt><dd dj>${text}</dd>`;
    const html = (...texts: string[]) => `<dl dj>${texts.map(row).join("")}</dl>`;
    const page = new Shown(html("a", "b"), [0, [["l1"]]], [1, [0, [["t"]]], "<dt>-</dt><dd dj></dd>"]);
    page.update([0, [[1, [0, "B"]], 0, [1, 0], [1, [["x"]]]]]).equals(html("B", "x", "a"));
    page
      .update([
        0,
        [
          [2, [0, "A"]],
          [0, 1],
        ],
      ])
      .equals(html("x", "A"));
  });

  test("of text alone have rows that are one part", () => {
    const html = (...texts: string[]) => `<p dj>${texts.map((text) => `<!--,-->${text}`).join("")}</p>`;
    const page = new Shown(html("a", "", "c"), [0, [["l1"]]], [1, [0, ["=t"]], ""]);
    page.update([0, [[1, [0, "b"], 2, [0, ["<b>c</b>"]]]]]).equals(html("a", "b", "<b>c</b>"));
    page.update([0, [[0, [0, ""]], 0, [2, 0], [3, [["d"]]]]]).equals(html("<b>c</b>", "", "b", "d"));
  });

  test("stand in rows of other loops", () => {
    const cell = (...cells: number[]) => cells.map((n) => `<td dj>${n}</td>`).join("");
    const row = (...cells: number[]) => `<tr dj>${cell(...cells)}</tr>`;
    const html = (...rows: string[]) => `<table><tbody dj>${rows.join("")}</tbody></table>`;
    const page = new Shown(html(row(1, 2), row(3)), [0, [["l1"]]]);
    page
      .update([0, [[0, [0, [[1, [0, 9]]]]]]], [1, [[0, 0], [["l2"]]]], [2, [[0, 0], [["t"]]]])
      .equals(html(row(1, 9), row(3)));
    page.update([0, [0, 0, 0, [1, [[[[5], [6]]], [[]]]]]], [1, 0, "<tr dj></tr>"], [2, 0, "<td dj></td>"]);
    page.equals(html(row(1, 9), row(5, 6), row(), row(3)));
    page.update([
      0,
      [
        [
          1,
          [
            0,
            [
              [0, [0, 4]],
              [1, 1],
            ],
          ],
          2,
          [0, [0, 0, 0, [0, [[8]]]]],
        ],
      ],
    ]);
    page.equals(html(row(1, 9), row(4), row(8), row(3)));
  });

  test("leave foreign nodes among their rows", () => {
    const page = new Shown(
      `<ul dj>${li("a", "b")}</ul>`,
      [0, [["l1"]]],
      [1, [[0, 0], [["t"]]], "<li dj></li>"],
    );
    node("ul").insertBefore(document.createElement("hr"), node("li + li"));
    page.update([0, [[1, [0, "B"]], [0, 1], 0, [1, [["c"]]]]]);
    page.equals(`<ul dj><hr>${li("B", "c")}</ul>`);
  });

  test("that all go leave foreign elements where they are", () => {
    const list = `<ul dj><li dj><b dj>x</b></li>\n<li dj><b dj>y</b></li>\n</ul>`;
    const row: Entry = [
      1,
      [
        [0, 1],
        [[], ["t"]],
      ],
    ];
    new Shown(list, [0, [["l1"]]], row).update([0, [0, [0, 2]]]).equals("<ul dj></ul>");
    const shared = new Shown(list, [0, [["l1"]]], row);
    node("ul").append(document.createElement("hr"));
    shared
      .update([
        0,
        [
          [1, [0, "z"]],
          [0, 2],
        ],
      ])
      .equals("<ul dj><hr></ul>");
  });

  test("reach any order from any other", () => {
    const random = new Random(11);
    const html = (rows: string[]) =>
      `<ul>\n<!--[-->${rows.map((row) => ` <li dj id="${row}">${row}</li>\n`).join("")}<!--]--></ul>`;
    const names = [..."abcdefghij"];
    let rows = random.shuffled(names).slice(0, 6);
    const page = new Shown(html(rows), [0, ["l1"]], [1, [[1, 1], [["@id", "t"]]], " <li dj></li>\n"]);
    for (let round = 0; round < 60; round++) {
      const next = random.shuffled(names).slice(0, random.below(9));
      const nodes = new Map([...document.querySelectorAll("li")].map((row) => [row.id, row]));
      page.update([0, reorder(rows, next)]).equals(html(next));
      for (const row of next)
        if (rows.includes(row)) expect(document.getElementById(row)).toBe(nodes.get(row));
      rows = next;
    }
  });

  /** Everything that is kept is moved: not minimal, but allowed. */
  function reorder(from: string[], to: string[]): LoopChange {
    const left = from.filter((row) => to.includes(row));
    const removes = from.flatMap((row, at) => (to.includes(row) ? [] : [at, 1]));
    const moves = to.flatMap((row, at) => (left.includes(row) ? [left.indexOf(row), at] : []));
    const inserts = to.flatMap((row, at) => (left.includes(row) ? [] : [at, [[row, row]]]));
    return [0, removes, moves, inserts];
  }
});

describe("foreign nodes", () => {
  test("before, between and inside do not disturb the binding", () => {
    const page = new Shown("<p dj>a</p><div><!--[-->b<!--]--></div>", [0, [["t"], "t"]]);
    document.body.prepend(document.createElement("ins"), document.createComment("note"), " ");
    node("div").prepend(document.createComment("!"), document.createElement("x-y"));
    page
      .update([0, "A", 1, "B"])
      .equals("<ins></ins><!--note--> <p dj>A</p><div><!--!--><x-y></x-y><!--[-->B<!--]--></div>");
  });

  test("marks that do not fit the plan are an error", () => {
    expect(() => new Shown("<p dj>a</p>", [0, [["t"], ["t"]]]).update([0, "x"])).toThrow(
      "marks and plan differ",
    );
    expect(() => new Shown("<p dj>a</p>", [0, ["t"]]).update([0, "x"])).toThrow("differ");
    expect(() => new Shown("<!--[-->", [0, ["t"]]).update([0, "x"])).toThrow("a mark is missing");
  });

  test("our own script in the body is not its content", () => {
    const page = new Shown(`a<script data-djust="t"></script><ins></ins>`, [0, [["t"]]]);
    document.body.setAttribute("dj", "");
    page.update([0, "b"]);
    expect(document.body.innerHTML).toBe(`b<script data-djust="t"></script><ins></ins>`);
    page.update([0, ["<b>c</b>"]]);
    expect(document.body.innerHTML).toBe(`<b>c</b><script data-djust="t"></script>`);
    document.body.removeAttribute("dj");
  });
});

test("marks that the parser put beside the root element go to the body", () => {
  const page = new Shown("<p>old</p><!--]--><i dj>x</i>", [0, ["b", ["t"]]]);
  document.documentElement.before(document.createComment("["));
  page.update([0, [1, []], 1, "y"], [1, [0, []], "<b></b>"]).equals("<!--[--><b></b><!--]--><i dj>y</i>");
});

describe("all values", () => {
  test("keep what has not changed", () => {
    const page = new Shown("<p dj>a</p><div dj><i dj>x</i></div><ul dj><li dj>1</li><li dj>2</li></ul>", [
      0,
      [["t"], ["b"], ["l3"]],
    ]);
    const kept = [node("p").firstChild, node("i"), ...document.querySelectorAll("li")];
    const i = (n: number): Entry => [n, [0, [["t"]]], "<i dj></i>"];
    const li = (n: number): Entry => [n, [[0, 0], [["t"]]], "<li dj></li>"];
    page.assign(["a", [7, ["y"]], [["1"], ["3"]]], [0, [0, [["t"], ["b"], ["l8"]]]], i(7), li(8));
    page.equals("<p dj>a</p><div dj><i dj>y</i></div><ul dj><li dj>1</li><li dj>3</li></ul>");
    expect([node("p").firstChild, node("i"), ...document.querySelectorAll("li")]).toEqual(kept);
    page.assign(["b", [1, ["z"]], [["0"]]], [0, [0, [["t"], ["b"], ["l2"]]]], i(1), li(2));
    page.equals("<p dj>b</p><div dj><i dj>z</i></div><ul dj><li dj>0</li></ul>");
    expect(node("i")).toBe(kept[1]);
    page.update([1, [1, [0, "!"], 1], 2, [[0, [0, "?"]], 0, 0, [1, [["+"]]]]]);
    page.equals("<p dj>b</p><div dj><i dj>!</i></div><ul dj><li dj>?</li><li dj>+</li></ul>");
  });

  test("rebuild what is another fragment", () => {
    const page = new Shown(`<div dj><i class="a" dj>x</i></div>`, [0, [["b"]]]);
    const old = node("i");
    page.assign([[1, ["x"]]], [0, [0, [["b"]]]], [1, [0, [["t"]]], `<i class="b" dj></i>`]);
    page.equals(`<div dj><i class="b" dj>x</i></div>`);
    expect(node("i")).not.toBe(old);
    page.assign([[]], [0, [0, [["b"]]]]).equals("<div dj></div>");
  });

  test("do not take the empty message for a row", () => {
    const page = new Shown("<ul dj><li dj>none</li></ul>", [0, [["b"]]]);
    const rows: [number, [0, string[]], string] = [1, [0, ["=l2"]], ""];
    page.assign([[1, [[["a"], ["b"]]]]], [0, [0, [["b"]]]], rows, [2, [[1, 0], [["t"]]], " <li dj></li>"]);
    page.equals("<ul dj> <li dj>a</li> <li dj>b</li></ul>");
  });

  test("remove what a tag part wrote before", () => {
    const page = new Shown(`<b dj id="i" class="c" hidden title="t"></b>`, [0, [["*id,class", "@class"]]]);
    page
      .assign([{ title: "u" }, "d"], [0, [0, [["*id,class", "@class"]]]])
      .equals(`<b dj id="i" class="d" title="u"></b>`);
  });

  test("of a changed page that does not fit are an error", () => {
    const page = new Shown("<p dj>a</p>", [0, [["t"]]]);
    expect(() => page.assign(["a", "b"], [0, [0, [["t"], ["t"]]]])).toThrow("marks and plan differ");
  });
});
