/**
 * Spans: runs of siblings, and how they are read, cleared, filled and moved. Nothing here knows
 * plans.
 *
 * A `Span` is everything in `parent` strictly between `before` and `after`; `null` means "from the
 * first" or "to the last". `{parent: td, before: null, after: null}` is the whole content of a
 * cell.
 */
import { OWN } from "../tree/marks";

export interface Span {
  readonly parent: Node;
  readonly before: Node | null;
  readonly after: Node | null;
}

interface MovingNode extends Node {
  moveBefore?(node: Node, before: Node | null): void;
}

export const isElement = (node: Node | null | undefined): node is Element => node?.nodeType === 1;
export const isText = (node: Node | null | undefined): node is Text => node?.nodeType === 3;
export const isComment = (node: Node | null | undefined): node is Comment => node?.nodeType === 8;

/** `value`, or an error that leads to a resync: the page is not what the frame expects. */
export const must = <T>(value: T | null | undefined, what: string): T => value ?? fail(`${what} is missing`);

export function fail(text: string): never {
  throw new Error(text);
}

/**
 * Elements whose content belongs to scripts of the page, and the copies that the server changes
 * instead. A copy is its own shadow.
 */
export const shadows = new WeakMap<Node, Element>();

/** What the server knows as the element. */
export const inside = (element: Element): Element => shadows.get(element) ?? element;

/** Whether `node` is where the server's changes are made: in the page or in a shadow. */
export const isReachable = (node: Node): boolean => node.isConnected || shadows.has(node.getRootNode());

/** The whole content of an element. What the client has added to the page is not part of it. */
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

/**
 * Moves connected nodes without resetting them (focus, frames, animations) where the browser can.
 */
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
  if (isComment(anchor)) (anchor.parentNode as Node).insertBefore(node, anchor.nextSibling);
  else (anchor instanceof HTMLTemplateElement ? anchor.content : anchor).appendChild(node);
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
