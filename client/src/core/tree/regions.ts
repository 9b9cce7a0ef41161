/**
 * Regions: parts that hold raw HTML. Their content is morphed towards the new HTML, because its
 * structure is not known.
 *
 * Siblings are taken in order: an old node pairs with the next new one of its name and key, what
 * pairs with none is removed, what has no old partner is inserted. The key is the `id`; for what
 * surrounds the focused element, that element's `id`, so that the focus is carried along. Fields
 * are written by a `Writer`, which decides whether djust may overwrite the field.
 */
import { holdsText, isLive, setAttribute } from "../dom/attributes";
import { parseDocument, parseInside } from "../dom/html";
import { clear, content, first, isElement, move, type Span } from "../dom/spans";
import type { Namespace } from "../protocol";
import { OWN } from "./marks";

/**
 * Writes an attribute that is more than an attribute: `value` (of a textarea: its text), `checked`,
 * `selected`, `open`. `gently`: it has not changed, but everything is written again.
 */
export type Writer = (element: Element, name: string, value: string | null, gently?: boolean) => void;

/** Elements whose content may include nodes of our own. */
const HOLDS_OWN = ["HTML", "HEAD", "BODY"];
const TEXT_FIELDS = ["INPUT", "TEXTAREA"];

export function morph(span: Span, html: string, namespace: Namespace, writer: Writer): void {
  const { parent, before } = span;
  if (parent === document)
    withoutOwn(() => morphElement(document.documentElement, parseDocument(html), writer));
  else if (!isElement(parent)) replace(span, parseInside(parent, html, namespace));
  else {
    const change = (whole: Span) => morphSiblings(whole, parseInside(parent, html, namespace), writer);
    if (!before && HOLDS_OWN.includes(parent.nodeName)) withoutOwn(() => change({ ...span, after: null }));
    else change(span);
  }
}

/** What is in no element of the page has no state to keep. */
function replace(span: Span, fresh: Node): void {
  clear(span);
  for (const node of [...fresh.childNodes]) span.parent.insertBefore(node, span.after);
}

/**
 * Rewrites what may contain our own nodes; they go back unless the new HTML has brought its own.
 */
function withoutOwn(change: () => void): void {
  const own = [...document.querySelectorAll(`[${OWN}]`)];
  for (const node of own) node.remove();
  change();
  for (const node of own)
    if (!document.querySelector(`${node.localName}[${OWN}]`)) document.body.append(node);
}

/** Makes the siblings in `span` equal to the children of `model`. */
function morphSiblings(span: Span, model: Node, writer: Writer): void {
  const fresh = [...model.childNodes];
  let old = first(span);
  const remove = () => {
    const node = old as ChildNode;
    old = node.nextSibling;
    node.remove();
  };
  fresh.forEach((node, at) => {
    while (old !== span.after && !fresh.slice(at).some((other) => pairs(old as Node, other))) remove();
    const partner = findPartner(old, span.after, node);
    if (!partner) span.parent.insertBefore(document.importNode(node, true), old);
    else {
      if (partner === old) old = old.nextSibling;
      else move(span.parent, [partner], old);
      morphNode(partner, node, writer);
    }
  });
  while (old !== span.after) remove();
}

/** `old` if it pairs with `node`; nodes with a key are looked for further on. */
function findPartner(old: Node | null, end: Node | null, node: Node): Node | null {
  for (let other = old; other !== end; other = (other as Node).nextSibling) {
    if (pairs(other as Node, node)) return other;
    if (!keyOf(node)) break;
  }
  return null;
}

const pairs = (old: Node, fresh: Node): boolean =>
  old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

function keyOf(node: Node): string | null {
  if (!isElement(node)) return null;
  const focused = document.activeElement?.getAttribute("id");
  const around = focused && node.querySelector(`[id="${CSS.escape(focused)}"]`);
  return node.getAttribute("id") || (around ? focused : null);
}

function morphNode(old: Node, fresh: Node, writer: Writer): void {
  if (isElement(old)) morphElement(old, fresh as Element, writer);
  else if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
}

/** Skips what is being edited, and content that belongs to scripts of the page. */
function morphElement(old: Element, fresh: Element, writer: Writer): void {
  if (old === document.activeElement && (old as HTMLElement).isContentEditable) return;
  if (old.matches("[dj-update=ignore]")) return;
  const another = isAnother(old as HTMLInputElement, fresh as HTMLInputElement);
  morphAttributes(old, fresh, writer);
  if (old.nodeName === "TEXTAREA") writer(old, "value", fresh.textContent, true);
  else morphSiblings(content(old), content(fresh).parent, writer);
  if (!another) return;
  // With its type the browser may have changed where the value is.
  morphAttributes(old, fresh, writer);
  resetField(old);
}

/** Whether the element becomes another field, for which nothing was typed yet. */
const isAnother = (old: HTMLInputElement, fresh: HTMLInputElement): boolean =>
  TEXT_FIELDS.includes(old.nodeName) && (old.name !== fresh.name || old.type !== fresh.type);

/**
 * Shows what the attributes say, as in a fresh page. A file that was chosen stays: only the user
 * can choose it.
 */
export function resetField(field: Element): void {
  const { options } = field as HTMLSelectElement;
  if (holdsText(field)) field.value = field.defaultValue;
  else if (field instanceof HTMLInputElement) field.checked = field.defaultChecked;
  else if (options) for (const option of options) option.selected = option.defaultSelected;
}

function morphAttributes(old: Element, fresh: Element, writer: Writer): void {
  for (const name of [...old.getAttributeNames(), ...fresh.getAttributeNames()]) {
    const value = fresh.getAttribute(name);
    if (old.getAttribute(name) === value) continue;
    if (isLive(old, name)) writer(old, name, value, name === "open");
    else setAttribute(old, name, value);
  }
}
