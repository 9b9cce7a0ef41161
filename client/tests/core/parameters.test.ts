import { afterEach, describe, expect, test, vi } from "vitest";
import { parseCall, readAttributes, readForm, readValue } from "../../src/core/parameters";

function element<T extends Element>(html: string): T {
  document.body.innerHTML = html;
  return document.body.firstElementChild as T;
}

afterEach(() => {
  document.body.innerHTML = "";
});

describe("the value of an event attribute", () => {
  test.each([
    ["save", "save", []],
    ["  save  ", "save", []],
    ["save()", "save", []],
    ["save( )", "save", []],
    ["select('a', 1, true, null)", "select", ["a", 1, true, null]],
    ["select( 'a' ,-1.5,  False , None )", "select", ["a", -1.5, false, null]],
    ["move(.5, 1e3, 2.)", "move", [0.5, 1000, 2]],
    [`say("it's", 'a "b"')`, "say", ["it's", 'a "b"']],
    [String.raw`say('it\'s', 'a\\b', 'x\ny')`, "say", ["it's", "a\\b", "x\ny"]],
    ["say('a, b', ')')", "say", ["a, b", ")"]],
    ["say('')", "say", [""]],
    ["say('two\nlines')", "say", ["two\nlines"]],
  ])("%s is read", (source, handler, args) => {
    expect(parseCall(source)).toEqual({ handler, args });
  });

  test.each([
    "",
    "save(",
    "save)",
    "save(x)",
    "save('a)",
    "save(1 2)",
    "save(1,,2)",
    "save(1,)",
    "save(alert(1))",
    "save({})",
    "a b",
    "save(1); x",
    "save(0x10)",
  ])("%j is refused with a message", (source) => {
    const error = vi.spyOn(console, "error").mockReturnValue();
    expect(parseCall(source)).toBeNull();
    expect(error).toHaveBeenCalledWith(expect.stringContaining(JSON.stringify(source)));
  });
});

describe("the parameters of an element", () => {
  test("come from data attributes in snake case and are converted by suffix", () => {
    const html = `<b data-item-id:int="3" data-x:float="1.5" data-a:bool="true" data-b:bool="false" data-c:bool=""
      data-d:json='{"k": [1, null]}' data-plain="7" id="i" class="c"></b>`;
    const d = { k: [1, null] };
    expect(readAttributes(element(html))).toEqual({
      item_id: 3,
      x: 1.5,
      a: true,
      b: false,
      c: false,
      d,
      plain: "7",
    });
  });

  test("dj-value wins over data of the same name", () => {
    expect(readAttributes(element(`<b dj-value-kind="x" data-kind="y" data-n="1"></b>`))).toEqual({
      kind: "x",
      n: "1",
    });
  });

  test("the attributes of the client itself are no parameters", () => {
    expect(readAttributes(element(`<b data-djust="t" data-djust-x="1"></b>`))).toEqual({});
  });

  test("text that is not a number is sent as it is, and the server refuses it", () => {
    expect(readAttributes(element(`<b data-n:int="many"></b>`))).toEqual({ n: "many" });
  });

  test("bad JSON is reported", () => {
    const error = vi.spyOn(console, "error").mockReturnValue();
    expect(readAttributes(element(`<b data-n:json="{"></b>`))).toEqual({ n: "{" });
    expect(error).toHaveBeenCalledOnce();
  });
});

describe("the value of a field", () => {
  test.each([
    [`<input value="a">`, "a"],
    [`<input type="checkbox" checked>`, true],
    [`<input type="checkbox" value="x">`, false],
    [`<input type="radio" value="x" checked>`, "x"],
    [`<textarea>a\nb</textarea>`, "a\nb"],
    [`<select><option value="1">a<option value="2" selected>b</select>`, "2"],
    [`<select multiple><option value="1" selected>a<option value="2" selected>b</select>`, ["1", "2"]],
    [`<select multiple><option>a</select>`, []],
    [`<p contenteditable>text</p>`, "text"],
  ])("of %s", (html, value) => {
    expect(readValue(element(html))).toEqual(value);
  });
});

test("a form sends its fields, lists for repeated names, and the submitter", () => {
  const form = element<HTMLFormElement>(`<form>
    <input name="a" value="1"><input name="tag" value="x"><input name="tag" value="y">
    <input type="checkbox" name="no"><input type="checkbox" name="yes" checked><input type="file" name="upload">
    <select name="s" multiple><option selected>p<option selected>q</select>
    <input value="nameless"><input name="off" value="1" disabled>
    <button name="go" value="now"></button><button name="go" value="later"></button>
  </form>`);
  const [now] = form.querySelectorAll("button");
  const params = { a: "1", tag: ["x", "y"], yes: "on", s: ["p", "q"] };
  expect(readForm(form, null)).toEqual(params);
  expect(readForm(form, now ?? null)).toEqual({ ...params, go: "now" });
});
