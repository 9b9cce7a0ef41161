/**
 * The tree: the page as the server knows it, and the two ways in which the server changes it.
 *
 *     tree.update([0, "x"])   writes "x" into part 0 of the root fragment
 *     tree.assign([…])        brings all parts of the root to the given values, keeping what is there
 */
import type { Span } from "../dom/spans";
import type { Diff, Entry, Values } from "../protocol";
import { assign } from "./assign";
import { change } from "./change";
import { type Context, type Instance, instantiate } from "./instances";
import { CLOSE } from "./marks";
import { type Fragment, Fragments, isMark, isOpen, locate, type Place, same } from "./plans";
import { morph, type Writer } from "./regions";

const DOCUMENT: Span = { parent: document, before: null, after: null };

export class Tree implements Context {
  #fragments = new Fragments();
  #root: Instance | null = null;
  /** Looked up when it is needed, once per frame. */
  #edited: Element | null | undefined;

  constructor(readonly writer: Writer) {}

  register(entries: readonly Entry[]): void {
    this.#fragments.add(entries);
  }

  update(diff: Diff): void {
    this.#edited = undefined;
    const fragment = this.#fragments.get(0);
    this.#root ??= instantiate(fragment, null, bindRoot(fragment));
    change(this, this.#root, diff, DOCUMENT);
  }

  /**
   * Replaces all numbers by those of `entries` and brings the page to `values`; first to `html`,
   * another document.
   */
  assign(values: Values, entries: readonly Entry[], html?: string): void {
    this.#edited = undefined;
    if (html) {
      morph(DOCUMENT, html, 0, this.writer);
      this.#root = null;
    }
    this.#fragments = new Fragments(entries);
    const fragment = this.#fragments.get(0);
    const place = bindRoot(fragment);
    const old = this.#root;
    const kept =
      old && same(old.fragment, fragment) && old.nodes.every((node, at) => node === place.nodes[at]);
    this.#root = instantiate(fragment, null, place, kept ? old.inner : []);
    assign(this, this.#root, values, DOCUMENT);
  }

  edited(): Element | null | undefined {
    if (this.#edited === undefined) {
      const { activeElement: active, body } = document;
      // By the attribute: `isContentEditable` would make the browser compute styles for every
      // frame.
      const none = active === body && !body.hasAttribute("contenteditable");
      this.#edited = none ? null : active?.closest("[contenteditable]:not([contenteditable=false])");
    }
    return this.#edited;
  }

  /** Drops what is known of the page, after a failure that may have left it half changed. */
  forget(): void {
    this.#root = null;
  }
}

function bindRoot({ plan }: Fragment): Place {
  gatherMarks();
  return locate(plan, document.firstChild, null);
}

/**
 * The parser puts comments before the body beside the root element: this moves them to their
 * content.
 */
function gatherMarks(): void {
  const strays = [...document.childNodes].filter((node) => isOpen(node) || isMark(node, CLOSE));
  document.body.prepend(...strays);
}
