/**
 * Creation: copies of templates, filled with values. Everything is complete before it comes into
 * the page.
 */
import { addAttribute, setAttribute } from "../dom/attributes";
import { importContent, lineStart, parseInside } from "../dom/html";
import { insert, isComment } from "../dom/spans";
import type { BranchValue, RowsValue, TagValue, TextValue, Value, Values } from "../protocol";
import { type Branch, created, type Instance, type Loop, type Row } from "./instances";
import { ATTRIBUTE, BRANCH, LOOP, ROW, TAG } from "./marks";
import type { Fragment, Fragments, Part } from "./plans";
import { follow, templateOf } from "./templates";

/** How many rows are copied at once: more is hardly faster, and the copies stay in memory. */
const BATCH = 32;

/** `all`: the fragments of the page. */
export function createBranch(
  all: Fragments,
  [number, values]: BranchValue,
  parent: Node,
): Branch | undefined {
  if (number === undefined) return undefined;
  const fragment = all.get(number);
  const { model, nodePath } = templateOf(fragment);
  const copy = model.cloneNode(true);
  const nodes = follow(nodePath, copy.firstChild);
  const inner = fill(fragment, nodes, values as Values, copy);
  parent.appendChild(copy);
  return { fragment, instance: fragment.plan.leaf ? null : created(fragment, null, nodes, inner) };
}

/** Of a loop without rows the fragment may not be known. */
function createLoop(all: Fragments, number: number, rows: RowsValue, parent: Node): Loop | undefined {
  if (!rows.length) return undefined;
  const fragment = all.get(number);
  return { fragment, rows: createRows(fragment, rows, parent, null) };
}

/** Copies many rows at once where there are many: each call of the browser costs. */
export function createRows(
  fragment: Fragment,
  list: readonly Values[],
  parent: Node,
  before: Node | null,
): Row[] {
  const { single } = fragment.plan;
  const rows: Row[] = [];
  while (rows.length < list.length) {
    const count = single && list.length - rows.length >= BATCH ? BATCH : 1;
    const batch = templateOf(fragment, count).model.cloneNode(true) as DocumentFragment;
    if (!single) batch.prepend(new Comment(ROW));
    let root = single ? batch.firstElementChild : batch.firstChild;
    for (; root; root = single ? (root as Element).nextElementSibling : null)
      rows.push(fillRow(fragment, root, list[rows.length] as Values, batch));
    parent.insertBefore(batch, before);
  }
  return rows;
}

function fillRow(fragment: Fragment, root: ChildNode, values: Values, batch: DocumentFragment): Row {
  const { single, leaf } = fragment.plan;
  const nodes = follow(templateOf(fragment).nodePath, single ? root : root.nextSibling);
  const inner = fill(fragment, nodes, values, batch);
  return leaf ? root : created(fragment, root, nodes, inner);
}

/** Fills a copy; `whole` is what it stands in. */
function fill(fragment: Fragment, nodes: Node[], values: Values, whole: Node): Instance["inner"] {
  const { parts } = fragment.plan;
  const { textOnly } = templateOf(fragment);
  const inner: Instance["inner"] = [];
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at] as Part;
    const value = values[at] as Value;
    const node = (nodes[part.anchor] ?? whole) as Element;
    if (!textOnly[at] || typeof value === "object") inner[at] = fillPart(fragment, part, node, value);
    else if (value !== "")
      if (part.plainAttribute) node.setAttribute(part.name, value as string);
      else node.textContent = value as string;
    else if (part.plainAttribute && part.name !== "class") node.setAttribute(part.name, value);
  }
  return inner;
}

function fillPart(fragment: Fragment, part: Part, node: Element, value: Value): Branch | Loop | undefined {
  const { kind } = part;
  if (kind === BRANCH || kind === LOOP) return fillInner(fragment, part, node, value);
  if (kind === ATTRIBUTE) addAttribute(node, part.name, `${value}`);
  else if (kind === TAG) setAttributes(node, value as TagValue);
  else fillContent(fragment, node, value as TextValue);
  return undefined;
}

function setAttributes(element: Element, value: TagValue): void {
  for (const name of Object.keys(value)) setAttribute(element, name, value[name] as string | null);
}

function fillContent({ namespace }: Fragment, node: Node, value: TextValue): void {
  if (typeof value === "object") {
    const context = isComment(node) ? (node.parentNode as Node) : node;
    insert(node, importContent(parseInside(context, lineStart(node, value[0]), namespace)));
  } else if (value !== "") insert(node, new Text(lineStart(node, `${value}`)));
}

function fillInner({ all }: Fragment, part: Part, node: Node, value: Value): Branch | Loop | undefined {
  const batch = new DocumentFragment();
  const inner =
    part.kind === BRANCH
      ? createBranch(all, value as BranchValue, batch)
      : createLoop(all, part.rows, value as RowsValue, batch);
  insert(node, batch);
  return inner;
}
