import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Fields } from "../../src/core/fields";

let fields: Fields;

function show<T extends Element>(html: string): T {
  document.body.innerHTML = html;
  return document.body.firstElementChild as T;
}

function type(field: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  field.focus();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/**
 * The answer to event `ref` of `source` writes something. Forms are submitted, into other fields
 * the user types.
 */
function answer(
  ref: number,
  source: Element | null,
  write: () => void,
  submitted = source instanceof HTMLFormElement,
): void {
  fields.sent = Math.max(fields.sent, ref);
  fields.begin(ref, { source, submitted });
  write();
  fields.end();
}

beforeEach(() => {
  fields = new Fields();
});

afterEach(() => {
  document.body.innerHTML = "";
});

describe("a value for a text field", () => {
  test("is written at once when the user is not in the field", () => {
    const input = show<HTMLInputElement>("<input>");
    answer(1, null, () => fields.write(input, "value", "a"));
    expect([input.value, input.getAttribute("value")]).toEqual(["a", "a"]);
    answer(2, null, () => fields.write(input, "value", null));
    expect([input.value, input.getAttribute("value")]).toEqual(["", null]);
  });

  test("waits while the field has the focus", () => {
    const input = show<HTMLInputElement>("<input>");
    input.focus();
    answer(1, null, () => fields.write(input, "value", "a"));
    expect(input.value).toBe("");
    input.blur();
    expect([input.value, input.getAttribute("value")]).toEqual(["a", "a"]);
  });

  test("waits when the field was changed after the event was sent", () => {
    const input = show<HTMLInputElement>("<input>");
    fields.sent = 1;
    type(input, "typed");
    input.blur();
    answer(1, null, () => fields.write(input, "value", "a"));
    expect(input.value).toBe("typed");
    answer(2, input, () => fields.write(input, "value", "b"));
    expect(input.value).toBe("b");
  });

  test("is dropped if the server has not seen what was typed", () => {
    const input = show<HTMLInputElement>("<input>");
    fields.sent = 1;
    type(input, "typed");
    answer(1, null, () => fields.write(input, "value", "a"));
    input.blur();
    expect(input.value).toBe("typed");
  });

  test("is applied on leaving if the server has seen what was typed", () => {
    const input = show<HTMLInputElement>("<input>");
    fields.sent = 1;
    type(input, "typed");
    answer(1, null, () => fields.write(input, "value", "A"));
    answer(2, input, () => {});
    expect(input.value).toBe("typed");
    input.blur();
    expect(input.value).toBe("A");
  });

  test("of a push comes after what the user typed and has not sent", () => {
    const input = show<HTMLInputElement>("<input>");
    answer(3, null, () => {});
    type(input, "typed");
    input.blur();
    answer(0, null, () => fields.write(input, "value", "pushed"));
    expect(input.value).toBe("typed");
    answer(4, input, () => {});
    expect(input.value).toBe("pushed");
  });

  test("in the answer to a submit is applied at once, even with the focus", () => {
    const form = show<HTMLFormElement>("<form><input></form>");
    const input = form.querySelector("input") as HTMLInputElement;
    type(input, "sent");
    answer(1, form, () => fields.write(input, "value", ""));
    expect(input.value).toBe("");
    expect(document.activeElement).toBe(input);
  });

  test("in the answer to a submit leaves what was typed after it", () => {
    const form = show<HTMLFormElement>("<form><input></form>");
    const input = form.querySelector("input") as HTMLInputElement;
    fields.sent = 1;
    type(input, "next");
    answer(1, form, () => fields.write(input, "value", ""));
    input.blur();
    expect(input.value).toBe("next");
  });

  test("does not interrupt a composition, not even after a submit", () => {
    const form = show<HTMLFormElement>("<form><input></form>");
    const input = form.querySelector("input") as HTMLInputElement;
    input.focus();
    input.dispatchEvent(new Event("compositionstart", { bubbles: true }));
    answer(1, form, () => fields.write(input, "value", "x"));
    expect(input.value).toBe("");
    input.dispatchEvent(new Event("compositionend", { bubbles: true }));
    input.blur();
    expect(input.value).toBe("x");
  });

  test("written gently changes nothing if the server has sent it before", () => {
    const input = show<HTMLInputElement>(`<input value="a">`);
    type(input, "typed");
    input.blur();
    answer(9, null, () => fields.write(input, "value", "a", true));
    expect(input.value).toBe("typed");
    answer(10, null, () => fields.write(input, "value", "a"));
    expect(input.value).toBe("a");
  });
});

test("the text of a textarea is its value", () => {
  const area = show<HTMLTextAreaElement>("<textarea>a</textarea>");
  type(area, "typed");
  answer(1, null, () => fields.write(area, "value", "b"));
  expect([area.value, area.textContent]).toEqual(["typed", "b"]);
  area.blur();
  expect([area.value, area.textContent]).toEqual(["b", "b"]);
});

describe("a form that was submitted", () => {
  const html = `<form><input name="a" value="x"><textarea></textarea><input type="checkbox" checked>
    <select><option>p<option selected>q<option>r</select></form>`;

  function fill(): [HTMLFormElement, () => unknown[]] {
    const form = show<HTMLFormElement>(html);
    const [a, area, box, select] = form.elements as unknown as [
      HTMLInputElement,
      HTMLTextAreaElement,
      HTMLInputElement,
      HTMLSelectElement,
    ];
    box.click();
    select.value = "r";
    select.dispatchEvent(new Event("input", { bubbles: true }));
    type(area, "text");
    type(a, "typed");
    return [form, () => [a.value, area.value, box.checked, select.value]];
  }

  test("shows what the server says, even if that is nothing new", () => {
    const [form, values] = fill();
    answer(1, form, () => {});
    expect(values()).toEqual(["x", "", true, "q"]);
    expect(document.activeElement).toBe(form.elements[0]);
  });

  test("without success keeps what the user entered", () => {
    const [form, values] = fill();
    answer(1, form, () => {}, false);
    expect(values()).toEqual(["typed", "text", false, "r"]);
  });

  test("keeps what was entered after it", () => {
    fields.sent = 1;
    const [form, values] = fill();
    answer(1, form, () => {});
    expect(values()).toEqual(["typed", "text", false, "r"]);
  });
});

describe("for a field whose value the template sets", () => {
  test("a choice that the server does not accept is undone", () => {
    const box = show<HTMLInputElement>(`<input dj type="checkbox">`);
    box.focus();
    box.click();
    answer(1, box, () => {}, true);
    expect(box.checked).toBe(false);
    const select = show<HTMLSelectElement>("<select><option dj selected>a<option dj>b</select>");
    select.focus();
    select.value = "b";
    select.dispatchEvent(new Event("input", { bubbles: true }));
    answer(2, select, () => {}, true);
    expect(select.value).toBe("a");
  });

  test("text that the server does not accept stays while it is typed", () => {
    const input = show<HTMLInputElement>(`<input dj value="a">`);
    type(input, "a1");
    answer(1, input, () => {});
    expect(input.value).toBe("a1");
    input.blur();
    expect(input.value).toBe("a");
  });

  test("and for no other one", () => {
    const box = show<HTMLInputElement>(`<input type="checkbox">`);
    box.click();
    answer(1, box, () => {}, true);
    expect(box.checked).toBe(true);
  });
});

test("a field that was submitted shows its answer, with the focus on it", () => {
  const box = show<HTMLInputElement>(`<input type="checkbox">`);
  box.focus();
  box.click();
  answer(1, box, () => fields.write(box, "checked", ""), true);
  expect([box.checked, box.getAttribute("checked")]).toEqual([true, ""]);
  answer(2, box, () => fields.write(box, "checked", null), true);
  expect([box.checked, box.getAttribute("checked")]).toEqual([false, null]);
  answer(3, null, () => fields.write(box, "checked", ""));
  expect(box.checked).toBe(false);
  box.blur();
  expect(box.checked).toBe(true);
});

test("a box that is clicked is changed before the event of its click is sent", () => {
  const box = show<HTMLInputElement>(`<input type="checkbox">`);
  box.addEventListener("click", () => {
    fields.sent = 1;
  });
  box.click();
  answer(1, null, () => fields.write(box, "checked", null));
  expect(box.checked).toBe(false);
});

test("radio buttons of one name are one field", () => {
  const form = show<HTMLFormElement>(
    `<form><input type="radio" name="r" id="a" checked><input type="radio" name="r" id="b"></form>`,
  );
  const [a, b] = form.querySelectorAll("input") as unknown as [HTMLInputElement, HTMLInputElement];
  b.focus();
  answer(1, null, () => {
    fields.write(a, "checked", "");
    fields.write(b, "checked", null);
  });
  b.click();
  expect([a.checked, b.checked]).toEqual([false, true]);
  b.blur();
  expect([a.checked, b.checked]).toEqual([false, true]);
});

test("options belong to their select", () => {
  const select = show<HTMLSelectElement>("<select><option>a<option selected>b<option>c</select>");
  const [a, b, c] = select.options;
  const choose = (from: Element, to: Element) => () => {
    fields.write(from, "selected", null);
    fields.write(to, "selected", "");
  };
  answer(1, null, choose(b as Element, a as Element));
  expect(select.value).toBe("a");
  select.focus();
  answer(2, null, choose(a as Element, c as Element));
  expect(select.value).toBe("a");
  select.blur();
  expect(select.value).toBe("c");
});

test("details that the user opened stay open until the server has seen later events", () => {
  const details = show<HTMLDetailsElement>("<details></details>");
  fields.sent = 1;
  details.open = true;
  details.dispatchEvent(new Event("toggle"));
  answer(1, null, () => fields.write(details, "open", null));
  expect(details.open).toBe(true);
  answer(2, null, () => fields.write(details, "open", null));
  expect(details.open).toBe(false);
});
