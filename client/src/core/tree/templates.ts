/**
 * Templates: the parsed skeleton of a fragment, which is copied wherever the server wants the
 * fragment to appear.
 *
 * A template knows the path that leads over its anchors, as steps in the tree, so that a copy is
 * bound without looking at its nodes. `<tr dj><td dj></td></tr>` has the path
 * `[ANCHOR, DOWN, ANCHOR]`.
 */
import { addAttribute } from "../dom/attributes";
import { parse } from "../dom/html";
import { must } from "../dom/spans";
import { ATTRIBUTE, MARK } from "./marks";
import { type Fragment, locate, type Plan } from "./plans";

const DOWN = "down";
const NEXT = "next";
const UP = "up";
/** The node is an anchor. */
const ANCHOR = "anchor";
type Step = typeof DOWN | typeof NEXT | typeof UP | typeof ANCHOR;

export interface Template {
  readonly model: DocumentFragment;
  /** The steps that lead over the anchors: from a row's element, or from the first node. */
  readonly nodePath: readonly Step[];
  /**
   * By part: whatever the text, it can be written as the attribute or text of the anchor as it is.
   */
  readonly textOnly: boolean[];
}

/** The template of so many copies. */
export function templateOf(fragment: Fragment, count = 1): Template {
  fragment.templates[count] ??= makeTemplate(fragment, count);
  return fragment.templates[count] as Template;
}

function makeTemplate({ plan, skeleton, namespace }: Fragment, count: number): Template {
  const parsed = parse(must(skeleton, "a skeleton"), namespace);
  // Nodes of the page's own document are copied faster than they are imported from a template's.
  const model = new DocumentFragment();
  for (let left = count; left--; ) model.append(...parsed.cloneNode(true).childNodes);
  const nodePath: Step[] = [];
  const { nodes } = locate(plan, model.firstChild, null);
  plot(nodePath, plan.single ? model.firstElementChild : model.firstChild, [...nodes]);
  for (const row of model.children) prepare(plan, plan.single ? follow(nodePath, row) : nodes);
  const textOnly = plan.parts.map(({ kind, plainAttribute, anchor }) =>
    kind === ATTRIBUTE ? plainAttribute : takesText(nodes[anchor]),
  );
  return { model, nodePath, textOnly };
}

function prepare({ parts, flatRow }: Plan, nodes: Node[]): void {
  // Many classes are empty: those come with the copy.
  for (const { kind, name, anchor } of parts)
    if (kind === ATTRIBUTE && name === "class") addAttribute(nodes[anchor] as Element, name, "");
  if (flatRow) for (const at in nodes) (nodes[at] as Element).setAttribute(MARK, at);
}

/** Whether any text may become the content of `node`, and is what the parser would make of it. */
const takesText = (node: Node | undefined): boolean =>
  !!(node as Element | undefined)?.matches?.(":not(template,pre,listing,script)");

/** Adds the steps from `from` over all `targets` that follow it. */
function plot(path: Step[], from: Node | null | undefined, targets: Node[]): void {
  for (let node = from; node && targets.length; node = node.nextSibling) {
    if (node !== from) path.push(NEXT);
    if (node === targets[0]) {
      path.push(ANCHOR);
      targets.shift();
    }
    if (targets.some((target) => node.contains(target))) {
      path.push(DOWN);
      plot(path, node.firstChild, targets);
      if (targets.length) path.push(UP);
    }
  }
}

/** The anchors on the path from `start`, the first node of a copy, up to number `last`. */
export function follow(path: readonly Step[], start: Node | null | undefined, last = path.length): Node[] {
  const nodes: Node[] = [];
  let node: Node | null | undefined = start;
  for (const step of path) {
    if (step !== ANCHOR)
      node = step === NEXT ? node?.nextSibling : step === DOWN ? node?.firstChild : node?.parentNode;
    else if (nodes.push(node as Node) > last) break;
  }
  return nodes;
}

/**
 * Anchor number `at` of a flat row that is a copy: where the path leads, if the mark there has that
 * number.
 */
export function anchorOfCopy({ templates }: Fragment, row: Node, at: number): Element | null {
  const node = follow(templates[1]?.nodePath ?? [], row, at)[at] as Element | undefined;
  return node?.getAttribute?.(MARK) === `${at}` ? node : null;
}
