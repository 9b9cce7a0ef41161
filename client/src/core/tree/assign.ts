/**
 * Assignment: brings parts to given values, whatever they show, keeping what is there.
 *
 * The server sends all values after a lost version, a resync or a remount. What stands in a branch
 * or loop is kept if it is of the right fragment: known to be, or found out by comparison with the
 * skeleton.
 */
import { clear, first, isText, must, type Span } from "../dom/spans";
import type { BranchValue, RowsValue, Values } from "../protocol";
import { bindBranch, placeRows, replaceBranch } from "./change";
import { type Branch, type Context, type Instance, instantiate, type Loop, spanOf } from "./instances";
import { BRANCH, LOOP } from "./marks";
import { match, matchRow } from "./match";
import { type Fragment, type Part, same } from "./plans";
import { bindRow, findRows, nodesOf, removeRows, rowSpan, withFragment } from "./rows";
import { templateOf } from "./templates";
import { writePart } from "./values";

export function assign(tree: Context, instance: Instance, values: Values, span: Span): void {
  instance.fragment.plan.parts.forEach((part, index) => {
    const value = must(values[index], "a value");
    if (part.kind === BRANCH)
      assignBranch(tree, instance, index, value as BranchValue, spanOf(instance, part, span));
    else if (part.kind === LOOP)
      assignLoop(tree, instance, index, value as RowsValue, spanOf(instance, part, span));
    else writePart(tree, instance, part, span, value, true);
  });
}

function assignBranch(
  tree: Context,
  instance: Instance,
  index: number,
  value: BranchValue,
  span: Span,
): void {
  const [number, values] = value;
  const fragment = number === undefined ? null : instance.fragment.all.get(number);
  const known = fragment && knownBranch(instance, index, fragment, span);
  if (known) {
    instance.inner[index] = { fragment, instance: known };
    assign(tree, known, values as Values, span);
  } else replaceBranch(instance, index, value, span);
}

/** The instance that stands in a branch if it is one of `fragment`. */
function knownBranch(instance: Instance, index: number, fragment: Fragment, span: Span): Instance | null {
  const branch = instance.inner[index] as Branch | undefined;
  if (branch && same(branch.fragment, fragment)) {
    const { inner, ...place } = bindBranch(branch, span);
    return instantiate(fragment, null, place, inner);
  }
  const place = match(fragment, first(span), span.after);
  return place && instantiate(fragment, null, place);
}

function assignLoop(tree: Context, instance: Instance, index: number, values: RowsValue, span: Span): void {
  const { all, plan } = instance.fragment;
  if (!values.length) {
    clear(span);
    instance.inner[index] = undefined;
    return;
  }
  const loop = knownLoop(
    instance.inner[index] as Loop | undefined,
    all.get((plan.parts[index] as Part).rows),
    span,
  );
  instance.inner[index] = loop;
  const spare = loop.rows.length - values.length;
  if (spare > 0) removeRows(loop, [[values.length, spare]], span);
  loop.rows.forEach((_, at) => {
    assign(tree, bindRow(loop, at, span), values[at] as Values, rowSpan(loop, at, span));
  });
  if (spare < 0) placeRows(loop, [], [[loop.rows.length, values.slice(loop.rows.length)]], span);
}

/** The loop in `span` if its rows are of `fragment`, else an empty one in its place. */
function knownLoop(loop: Loop | undefined, fragment: Fragment, span: Span): Loop {
  if (loop && same(loop.fragment, fragment))
    return { fragment, rows: loop.rows.map((row) => withFragment(row, fragment)) };
  const rows = matchRows(fragment, span);
  if (!rows) clear(span);
  return { fragment, rows: rows ?? [] };
}

/** The rows in `span` if nothing but rows of `fragment` stands there. */
function matchRows(fragment: Fragment, span: Span): Instance[] | null {
  const loop: Loop = { fragment, rows: findRows(span, fragment.plan) };
  const { single } = fragment.plan;
  const rows: Instance[] = [];
  let expected = first(span);
  for (let at = 0; at < loop.rows.length; at++) {
    const root = loop.rows[at] as ChildNode;
    const nodes = nodesOf(loop, at, span);
    const place = single
      ? matchRow(fragment, root as Element)
      : match(fragment, root.nextSibling, rowSpan(loop, at, span).after);
    if (!place || nodes[0] !== expected) return null;
    if (single && spaces(nodes) !== spaces([...templateOf(fragment).model.childNodes])) return null;
    rows.push(instantiate(fragment, root, place));
    expected = (nodes[nodes.length - 1] as ChildNode).nextSibling;
  }
  return expected === span.after ? rows : null;
}

/** The white space around the element of a row. */
const spaces = (nodes: readonly Node[]): string =>
  nodes.map((node) => (isText(node) ? node.data : "")).join("");
