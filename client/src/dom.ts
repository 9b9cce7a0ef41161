/**
 * Small DOM operations that know nothing of plans: spans of siblings, parsing, attributes, moving.
 *
 * A `Span` is a run of siblings: everything in `parent` strictly between `before` and `after`; `null` means "from the
 * first" or "to the last". `{parent: td, before: null, after: null}` is the whole content of a cell.
 */
import { djust } from "./global";
import { OWN } from "./marks";
import type { Namespace } from "./protocol";

export interface Span {
  readonly parent: Node;
  readonly before: Node | null;
  readonly after: Node | null;
}

interface MovingNode extends Node {
  moveBefore?(node: Node, before: Node | null): void;
}

interface Policy {
  createHTML(html: string): string;
}

interface PolicyFactory {
  createPolicy(name: string, rules: Policy): Policy;
}

const WRAPPERS = ["", "svg", "math"];

const identity: Policy = { createHTML: (html) => html };

function makePolicy(): Policy {
  try {
    const factory = (window as { trustedTypes?: PolicyFactory }).trustedTypes;
    return factory?.createPolicy("djust", identity) ?? identity;
  } catch {
    // The page's CSP does not list our policy: plain strings are the only thing left to try.
    return identity;
  }
}

const policy = makePolicy();

export const isElement = (node: Node | null | undefined): node is Element => node?.nodeType === 1;
export const isText = (node: Node | null | undefined): node is Text => node?.nodeType === 3;
const isComment = (node: Node | null | undefined): node is Comment => node?.nodeType === 8;
export const isMark = (node: Node | null, data: string): boolean => isComment(node) && node.data === data;

/** `value`, or an error that leads to a resync: the page is not what the frame took it for. */
export const must = <T>(value: T | null | undefined, what: string): T => value ?? fail(`${what} is missing`);

export function fail(text: string): never {
  throw new Error(text);
}

// Parsing. Documents of templates are inert: nothing loads, no custom element wakes, and scripts never run, not even
// after they were inserted.

/** The nodes of `html` under one parent, parsed as in a template, or inside `<svg>` or `<math>`. */
export function parse(html: string, namespace: Namespace = 0): Node {
  const template = document.createElement("template");
  const wrapper = WRAPPERS[namespace];
  template.innerHTML = policy.createHTML(wrapper ? `<${wrapper}>${html}</${wrapper}>` : html);
  return (wrapper && template.content.firstChild) || template.content;
}

/** The nodes of `html` as the parser makes them inside `parent`, under a copy of it. */
export function parseInside(parent: Node, html: string, namespace: Namespace): Node {
  if (!isElement(parent)) return parse(html, namespace);
  const inert = document.createElement("template").content.ownerDocument;
  const shell = inert.importNode(parent, false);
  shell.innerHTML = policy.createHTML(html);
  return shell;
}

/** What the parser leaves of `source` at the start of `parent`: it drops a line break after `<pre>`. */
export const lineStart = (parent: Node, source: string): string =>
  source.startsWith("\n") && /^(PRE|LISTING)$/.test(parent.nodeName) ? source.slice(1) : source;

/** The root element of a whole document. */
export const parseDocument = (html: string): Element =>
  new DOMParser().parseFromString(policy.createHTML(html), "text/html").documentElement;

// Attributes

/** Attributes that stand for something the user can change, and the elements where they do. */
export const LIVE: Record<string, string> = {
  value: "INPUT",
  checked: "INPUT",
  selected: "OPTION",
  open: "DETAILS DIALOG",
};

/** Sets an attribute as the parser would, or removes it (`null`); equal values are not written again. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) addAttribute(element, name, value);
}

/** Whether the DOM takes an attribute of this name, and means what the parser means by it. */
export const isPlainName = (name: string): boolean => /^[\w-]+$/.test(name);

/** `setAttribute` for an element that is known not to have the value. */
export function addAttribute(element: Element, name: string, value: string): void {
  if (isPlainName(name)) element.setAttribute(name, value);
  else {
    // The parser knows the namespace of `xlink:href` in SVG, and accepts names like `@click`.
    const svg = /svg$|MathML$/.test(`${element.namespaceURI}`) ? 1 : 0;
    const [made] = (parse(`<a ${name}>`, svg).firstChild as Element).attributes;
    const attribute = (made as Attr).cloneNode() as Attr;
    attribute.value = value;
    element.setAttributeNode(attribute);
  }
}

/** Adds a class for a while; the function that takes it away leaves no empty attribute behind. */
export function addClass(element: Element, name: string): () => void {
  const bare = !element.hasAttribute("class");
  element.classList.add(name);
  return () => {
    element.classList.remove(name);
    if (bare && !element.classList.length) element.removeAttribute("class");
  };
}

// Spans

/** What the server knows as the element: another one, if scripts of the page own what is in it. */
export const inside = (element: Element): Element => djust.shadows?.get(element) ?? element;

/** The whole content of an element. What we added to the page ourselves is not part of it. */
export function content(element: Element): Span {
  const parent = element instanceof HTMLTemplateElement ? element.content : inside(element);
  const shared = parent === document.body || parent === document.head;
  const own = shared ? element.querySelector(`:scope>[${OWN}]`) : null;
  return { parent, before: null, after: own };
}

export const first = ({ parent, before }: Span): Node | null =>
  before ? before.nextSibling : parent.firstChild;

export function clear({ parent, before, after }: Span): void {
  const range = new Range();
  range.selectNodeContents(parent);
  if (before) range.setStartAfter(before);
  if (after) range.setEndBefore(after);
  range.deleteContents();
}

/** Moves connected nodes without resetting them (focus, frames, animations) where the browser can. */
export function move(parent: MovingNode, nodes: readonly Node[], before: Node | null): void {
  const focused = document.activeElement;
  for (const node of nodes) {
    if (parent.moveBefore && node.isConnected && parent.isConnected) parent.moveBefore(node, before);
    else parent.insertBefore(node, before);
  }
  if (focused !== document.activeElement) (focused as HTMLElement).focus({ preventScroll: true });
}

/** Puts the content of a new part into its element or behind its opening comment. */
export function insert(anchor: Node, node: Node): void {
  if (anchor.nodeType === 8) (anchor.parentNode as Node).insertBefore(node, anchor.nextSibling);
  else (anchor instanceof HTMLTemplateElement ? anchor.content : anchor).appendChild(node);
}

/** A copy of what is in `shell`, of this document. */
export function importContent(shell: Node): DocumentFragment {
  const batch = new DocumentFragment();
  for (const node of [...shell.childNodes]) batch.append(document.importNode(node, true));
  return batch;
}

/** Makes `text` the only content of `span`, in the text node that is there if one is. */
export function writeText(span: Span, text: string): void {
  const node = first(span);
  if (text && isText(node) && node.nextSibling === span.after) {
    if (node.data !== text) node.data = text;
    return;
  }
  clear(span);
  if (text) span.parent.insertBefore(new Text(text), span.after);
}
