/**
 * Rows: the order of a loop's rows, in the list and in the page.
 *
 * Rows of one element carry `lead` characters of white space before and `trail` after it;
 * neighbours share one text node until a row is inserted, moved or removed between them. Other rows
 * reach from their comment to the next row's. A row is known by its root: the element or the
 * comment.
 *
 * Example of a change of `[a, b, c, d]` by removes `[0, 1]`, moves `[2, 0]`, inserts `[1, [x]]`:
 * the removes leave `[b, c, d]`, `d` moves to 0, `x` is inserted at 1, `b` and `c` fill the other
 * places: `[d, x, b, c]`.
 */

import { clear, fail, first, isElement, isText, must, type Span } from "../dom/spans";
import { type Instance, instantiate, type Loop, type Row } from "./instances";
import { MARK, ROW } from "./marks";
import { closing, type Fragment, isMark, isMarked, isOpen, locate } from "./plans";

/** How many arguments one call passes. */
const MOST_ARGUMENTS = 1000;

interface RowShape {
  readonly single: boolean;
  readonly lead: number;
  readonly trail: number;
}

/**
 * Rows that come to stand together, the first of them at `at` of the final list, and what puts them
 * before a node.
 */
export interface Block<R> {
  readonly at: number;
  readonly rows: readonly R[];
  put(before: Node | null): void;
}

/**
 * Of loops with rows of one element each: the rows as the server has written them, before scripts
 * move them.
 */
export const initialRows = new WeakMap<Node, Element[]>();

/** `[[a, b], [c, d]]` of the flat list `[a, b, c, d]`. */
export function pairs<A, B>(flat: readonly (A | B)[] | 0 | undefined): [A, B][] {
  const list: [A, B][] = [];
  for (let at = 0; flat && at < flat.length; at += 2) list.push([flat[at] as A, flat[at + 1] as B]);
  return list;
}

// Rows in the page

/** The marked elements in `span`, found by the browser, if they reach from its start to its end. */
function markedIn({ parent, before, after }: Span): Element[] | false {
  const rows = isElement(parent) && [...parent.querySelectorAll(`:scope>[${MARK}]`)];
  return (
    rows &&
    (!before || (before as Comment).nextElementSibling === rows[0]) &&
    (!after || (after as Comment).previousElementSibling === rows[rows.length - 1]) &&
    rows
  );
}

/** The roots of the rows that stand in `span`. */
export function findRows(span: Span, { single }: RowShape): ChildNode[] {
  const marked = single && markedIn(span);
  if (marked) return marked;
  const roots: ChildNode[] = [];
  for (let node = first(span); node && node !== span.after; node = node.nextSibling) {
    if (single ? isElement(node) && isMarked(node) : isMark(node, ROW)) roots.push(node as ChildNode);
    else if (isOpen(node)) node = closing(node);
  }
  return roots;
}

/** The nodes of the row with `root`; `end` is the root of the next row or the end of the loop. */
export function rowNodes(root: ChildNode, end: Node | null, { single, lead, trail }: RowShape): ChildNode[] {
  const last = single ? edge(root, trail, false).nextSibling : end;
  const nodes: ChildNode[] = [];
  for (let node: ChildNode | null = rowStart(root, lead); node && node !== last; node = node.nextSibling)
    nodes.push(node);
  return nodes;
}

/**
 * Whether all elements beside the `count` rows in `span` are rows; an element more may be
 * somebody's own.
 */
const isFull = ({ parent }: Span, count: number, { single }: RowShape): boolean =>
  single && (parent as Element).childElementCount === count;

/** The first node of the row with `root`, split off from the row before. */
export const rowStart = (root: ChildNode, lead: number): ChildNode => edge(root, lead, true);

/** The outermost of the text nodes that hold `count` characters before or after `root`. */
function edge(root: ChildNode, count: number, back: boolean): ChildNode {
  let node = root;
  for (let left = count; left > 0; ) {
    const text = back ? node.previousSibling : node.nextSibling;
    if (!isText(text)) break;
    const { length } = text;
    if (length <= left) node = text;
    else if (back) node = text.splitText(length - left);
    else {
      text.splitText(left);
      node = text;
    }
    left -= length;
  }
  return node;
}

// Rows of a loop

export const rootOf = (row: Row): ChildNode => (row instanceof Node ? row : (row.root as ChildNode));

const endOf = ({ rows }: Loop, at: number, span: Span): Node | null => {
  const next = rows[at + 1];
  return next ? rootOf(next) : span.after;
};

export const rowSpan = (loop: Loop, at: number, span: Span): Span => ({
  parent: span.parent,
  before: rootOf(loop.rows[at] as Row),
  after: endOf(loop, at, span),
});

export const nodesOf = (loop: Loop, at: number, span: Span): ChildNode[] =>
  rowNodes(rootOf(must(loop.rows[at], "a row")), endOf(loop, at, span), loop.fragment.plan);

export function bindRow(loop: Loop, at: number, span: Span): Instance {
  const row = must(loop.rows[at], "a row");
  if (!(row instanceof Node)) return row;
  const { plan } = loop.fragment;
  const place = plan.single
    ? locate(plan, row, row.nextSibling)
    : locate(plan, row.nextSibling, endOf(loop, at, span));
  const instance = instantiate(loop.fragment, row, place);
  if (!plan.flatRow) loop.rows[at] = instance;
  return instance;
}

export const withFragment = (row: Row, fragment: Fragment): Row =>
  row instanceof Node ? row : { ...row, fragment };

export function removeRows(loop: Loop, removes: [number, number][], span: Span): void {
  const { rows } = loop;
  if (removes[0]?.[1] === rows.length && isFull(span, rows.length, loop.fragment.plan)) clear(span);
  else
    for (const [from, count] of removes)
      for (let at = from; at < from + count; at++) for (const node of nodesOf(loop, at, span)) node.remove();
  for (const [from, count] of removes.reverse()) rows.splice(from, count);
}

/**
 * The final order: `rows` with those of `blocks` where they say, ascending. `rows` itself is
 * changed.
 */
export function arrange<R>(rows: R[], blocks: readonly Block<R>[]): R[] {
  for (const { at, rows: added } of blocks) {
    if (at > rows.length) fail("a row is missing");
    for (let from = 0; from < added.length; from += MOST_ARGUMENTS)
      rows.splice(at + from, 0, ...added.slice(from, from + MOST_ARGUMENTS));
  }
  return rows;
}

/**
 * Puts `blocks` into the page; from the last to the first, so that what follows is in place
 * already.
 */
export function place<R>(
  final: readonly R[],
  blocks: readonly Block<R>[],
  { after }: Span,
  start: (row: R) => Node,
): void {
  for (const { at, rows, put } of [...blocks].reverse()) {
    const next = final[at + rows.length];
    put(next === undefined ? after : start(next));
  }
}
