/**
 * Instances: the copies of fragments in the page, as far as they were needed.
 *
 * An `Instance` holds the nodes of its anchors, and what stands in its branches and loops. A row
 * that was never changed is just its root node, because binding it later costs no more than binding
 * it now. For `<ul dj>{% for x in xs %}<li dj>{{ x }}</li>{% endfor %}</ul>` it is
 *
 *     {fragment: 0, nodes: [ul], inner: [{fragment: 1, rows: [li, li, {fragment: 1, root: li, nodes: [li], …}]}], …}
 */
import { content, isElement, type Span } from "../dom/spans";
import { closing, type Fragment, type Part, type Place } from "./plans";
import type { Writer } from "./regions";

/** What the changes of a page have in common. */
export interface Context {
  readonly writer: Writer;
  /** The element whose text the user is editing: nothing is written into it. */
  edited(): Element | null | undefined;
}

/** One copy of a fragment in the page. */
export interface Instance extends Place {
  fragment: Fragment;
  /** Of a row: its element or comment. */
  root: ChildNode | null;
  /** By part: what stands in its branches and loops, as far as it is known. */
  inner: (Branch | Loop | undefined)[];
}

export interface Branch {
  fragment: Fragment;
  instance: Instance | null;
}

export interface Loop {
  fragment: Fragment;
  rows: Row[];
}

export type Row = ChildNode | Instance;

export function instantiate(
  fragment: Fragment,
  root: ChildNode | null,
  { nodes, ends }: Place,
  inner: Instance["inner"] = [],
): Instance {
  return { fragment, root, nodes, ends, inner };
}

/** The instance of a copy whose anchors are `nodes`. */
export function created(
  fragment: Fragment,
  root: ChildNode | null,
  nodes: Node[],
  inner: Instance["inner"],
): Instance {
  const ends = nodes.map((node) => (isElement(node) ? null : closing(node)));
  return instantiate(fragment, root, { nodes, ends }, inner);
}

/** Where the content of `part` stands; `span` is the range of the whole instance. */
export function spanOf({ fragment, nodes, ends }: Instance, { anchor }: Part, span: Span): Span {
  if (fragment.plan.whole) return span;
  const node = nodes[anchor] as Node;
  const after = ends[anchor];
  return after ? { parent: node.parentNode as Node, before: node, after } : content(node as Element);
}
