/**
 * A page for tests: HTML in the document, a tree that patches it, and a comparison with what a
 * fresh page would be.
 */
import { expect } from "vitest";
import { setAttribute } from "../src/core/dom/attributes";
import type { Diff, Entry, Values, WirePlan } from "../src/core/protocol";
import { Tree } from "../src/core/tree/tree";

export const plain = (element: Element, name: string, value: string | null): void => {
  if (element.nodeName === "TEXTAREA") element.textContent = value;
  else setAttribute(element, name, value);
};

export class Shown {
  readonly tree = new Tree(plain);

  constructor(html: string, root: WirePlan, ...entries: Entry[]) {
    document.body.innerHTML = html;
    this.tree.register([[0, root], ...entries]);
  }

  update(diff: Diff, ...entries: Entry[]): this {
    this.tree.register(entries);
    this.tree.update(diff);
    return this;
  }

  assign(values: Values, ...entries: Entry[]): this {
    this.tree.assign(values, entries);
    return this;
  }

  /** The page equals one made of `html`; marks may be numbered. */
  equals(html: string): this {
    const fresh = document.implementation.createHTMLDocument();
    fresh.body.innerHTML = html;
    const shown = document.body.cloneNode(true) as Element;
    for (const marked of shown.querySelectorAll("[dj]"))
      if (/^\d+$/.test(`${marked.getAttribute("dj")}`)) marked.setAttribute("dj", "");
    shown.normalize();
    expect(shown.innerHTML).toBe(fresh.body.innerHTML);
    expect(shown.isEqualNode(fresh.body)).toBe(true);
    return this;
  }
}
