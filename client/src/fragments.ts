/**
 * Fragments: what the server told us about pieces of the template, and how to find their parts in the page.
 *
 * A plan `[[0, 1], [["@class"], ["t"], "t"]]` compiles to
 *
 *     anchors  [{element: true, closed: false}, {element: true, closed: true}, {element: false, closed: true}]
 *     parts    [{kind: "@", name: "class", anchor: 0}, {kind: "t", anchor: 1}, {kind: "t", anchor: 2}]
 *
 * A `Place` holds the nodes of the anchors in one copy of the fragment: for an element anchor the element, for a comment
 * anchor the two comments. Places are found by marks in what the server rendered (`locate`), by comparison with the
 * skeleton where the marks alone would not tell one fragment from another (`match`), and by position in what is
 * cloned from the skeleton (`follow`).
 */
import { addAttribute, fail, inside, isElement, isMark, isPlainName, LIVE, must, parse } from "./dom";
import { ATTRIBUTE, BRANCH, CLOSE, LOOP, MARK, OPEN, TAG, WHOLE } from "./marks";
import type { Entry, Namespace, WirePlan } from "./protocol";

export interface Part {
  readonly kind: string;
  /** The name of an attribute; of a tag part the names of the element's other attributes, with commas. */
  readonly name: string;
  /** Of a loop the number of its rows' fragment. */
  readonly rows: number;
  readonly anchor: number;
  /** An attribute that is nothing more, of a name that the DOM takes. */
  readonly bare: boolean;
}

interface Anchor {
  readonly element: boolean;
  /** What it contains belongs to its part. */
  readonly closed: boolean;
}

interface Plan {
  /** The plan without the numbers of fragments, which mean nothing after an `all` frame. */
  readonly text: string;
  readonly whole: boolean;
  /** Rows that are one element each. */
  readonly single: boolean;
  readonly lead: number;
  readonly trail: number;
  readonly anchors: Anchor[];
  readonly parts: Part[];
  /** No part holds other fragments. */
  readonly leaf: boolean;
  /** Rows whose marked elements are their anchors: nothing is kept of them but the root. */
  readonly plain: boolean;
}

export interface Fragment {
  readonly plan: Plan;
  skeleton: string | undefined;
  namespace: Namespace;
  /** By the number of copies in them. */
  readonly stencils: Record<number, Stencil>;
}

/** A parsed skeleton, and the steps that lead over its anchors: from a row's element, or from the first node. */
interface Stencil {
  readonly model: DocumentFragment;
  readonly route: readonly Step[];
  /** By part: the element takes an attribute of this name, or a text, as it is. */
  readonly quick: boolean[];
}

export interface Place {
  nodes: Node[];
  ends: (Node | null)[];
}

const DOWN = 0;
const NEXT = 1;
const UP = 2;
const TAKE = 3;
type Step = typeof DOWN | typeof NEXT | typeof UP | typeof TAKE;

/** Descriptors of parts that fill their anchor. */
const CONTENT = /^[tblr]/;

// Plans

function compile([shape, anchors]: WirePlan): Plan {
  const [lead, trail] = shape || [0, 0];
  const parts = anchors.flatMap((anchor, at) => descriptors(anchor).map((d) => part(d, at)));
  const leaf = !parts.some(({ kind }) => kind === BRANCH || kind === LOOP);
  return {
    text: JSON.stringify([shape, anchors]).replace(/"(=?l)\d+/g, '"$1'),
    whole: anchors[0]?.[0] === WHOLE,
    single: shape !== 0,
    lead,
    trail,
    anchors: anchors.map((anchor) => ({
      element: typeof anchor !== "string",
      closed: descriptors(anchor).some((d) => CONTENT.test(d)),
    })),
    parts,
    leaf,
    plain: leaf && shape !== 0 && anchors.every((anchor) => typeof anchor !== "string"),
  };
}

const descriptors = (anchor: string | string[]): string[] =>
  typeof anchor === "string" ? [anchor.replace(WHOLE, "")] : anchor;

function part(descriptor: string, anchor: number): Part {
  const name = descriptor.slice(1);
  const kind = descriptor.charAt(0);
  const bare = kind === ATTRIBUTE && isPlainName(name) && !(name in LIVE);
  return { kind, name, rows: Number(name), anchor, bare };
}

/** The fragments of one page by number. Entries may complete what came before: a plan first, its skeleton later. */
export class Fragments {
  private readonly known: Fragment[] = [];

  constructor(entries: readonly Entry[] = []) {
    this.add(entries);
  }

  add(entries: readonly Entry[]): void {
    for (const [number, plan, skeleton, namespace = 0] of entries) {
      if (plan) this.known[number] = { plan: compile(plan), skeleton, namespace, stencils: {} };
      else Object.assign(this.get(number), { skeleton, namespace });
    }
  }

  get(number: number): Fragment {
    return must(this.known[number], `fragment ${number}`);
  }

  _numberOf(fragment: Fragment): number {
    return this.known.indexOf(fragment);
  }
}

/** Whether two fragments, perhaps of different numberings, are one; the rows of their loops are not looked at. */
export const same = (a: Fragment, b: Fragment): boolean =>
  a === b || (a.skeleton === b.skeleton && a.plan.text === b.plan.text && a.namespace === b.namespace);

// Finding parts by marks

/** The anchors among the siblings from `node` up to `end`, in document order. */
export function locate(plan: Plan, node: Node | null, end: Node | null): Place {
  const place: Place = { nodes: [], ends: [] };
  if (plan.whole) return place;
  visit(plan, node, end, place);
  if (place.nodes.length < plan.anchors.length) fail("marks and plan differ");
  return place;
}

const isMarked = (node: Node | null): boolean => !!(node as Element | null)?.hasAttribute?.(MARK);

function visit(plan: Plan, from: Node | null, end: Node | null, place: Place): void {
  for (let node = from; node && node !== end; node = node.nextSibling) {
    if (place.nodes.length === plan.anchors.length) return;
    if (isElement(node)) visitElement(plan, node, place);
    else if (isMark(node, OPEN)) node = take(plan, place, node, closing(node));
  }
}

function visitElement(plan: Plan, element: Element, place: Place): void {
  const marked = isMarked(element);
  const anchor = plan.anchors[place.nodes.length];
  if (marked) take(plan, place, element, null);
  // The content of a template element is not among its children, so there is nothing to enter.
  if (!marked || !anchor?.closed) visit(plan, inside(element).firstChild, null, place);
}

function take(plan: Plan, place: Place, node: Node, end: Node | null): Node {
  const anchor = plan.anchors[place.nodes.length];
  if (anchor?.element !== isElement(node)) fail("marks and plan differ");
  place.nodes.push(node);
  place.ends.push(end);
  return end ?? node;
}

/** The comment that ends what `open` begins. The browser's walker is ten times faster over many rows than a loop here. */
export function closing(open: Node): Node {
  const parent = open.parentNode as Node;
  const walker = document.createTreeWalker(parent, NodeFilter.SHOW_COMMENT);
  walker.currentNode = open;
  for (let depth = 1; depth; ) {
    const node = must(walker.nextNode(), "a mark");
    if (node.parentNode !== parent) continue;
    if (isMark(node, OPEN)) depth++;
    else if (isMark(node, CLOSE)) depth--;
  }
  return walker.currentNode;
}

// Skeletons

/** The stencil of so many copies. */
export function stencil(fragment: Fragment, count = 1): Stencil {
  fragment.stencils[count] ??= cut(fragment, count);
  return fragment.stencils[count] as Stencil;
}

function cut({ plan, skeleton, namespace }: Fragment, count: number): Stencil {
  const parsed = parse(must(skeleton, "a skeleton"), namespace);
  // Nodes of the page's own document are copied faster than they are imported from a template's.
  const model = new DocumentFragment();
  for (let left = count; left--; ) model.append(...parsed.cloneNode(true).childNodes);
  const route: Step[] = [];
  const { nodes } = locate(plan, model.firstChild, null);
  plot(route, plan.single ? model.firstElementChild : model.firstChild, [...nodes]);
  for (const row of model.children) prepare(plan, plan.single ? follow(route, row) : nodes);
  const quick = plan.parts.map(({ kind, bare, anchor }) =>
    kind === ATTRIBUTE ? bare : takesText(nodes[anchor]),
  );
  return { model, route, quick };
}

function prepare({ parts, plain }: Plan, nodes: Node[]): void {
  // Many classes are empty: those come with the copy.
  for (const { kind, name, anchor } of parts)
    if (kind + name === "@class") addAttribute(nodes[anchor] as Element, name, "");
  if (plain) for (const at in nodes) (nodes[at] as Element).setAttribute(MARK, at);
}

/** Whether any text may become the content of `node`, and is what the parser would make of it. */
const takesText = (node: Node | undefined): boolean =>
  !!(node as Element | undefined)?.matches?.(":not(template,pre,listing,script)");

/** The steps from `node` over all `targets` that follow it. */
function plot(route: Step[], from: Node | null | undefined, targets: Node[]): void {
  for (let node = from; node && targets.length; node = node.nextSibling) {
    if (node !== from) route.push(NEXT);
    if (node === targets[0]) {
      route.push(TAKE);
      targets.shift();
    }
    if (targets.some((target) => node.contains(target))) {
      route.push(DOWN);
      plot(route, node.firstChild, targets);
      if (targets.length) route.push(UP);
    }
  }
}

/** The nodes that the route takes from `start`, the first node of a copy, up to number `last`. */
export function follow(route: readonly Step[] = [], start: Node | null | undefined, last?: number): Node[] {
  const nodes: Node[] = [];
  let node: Node | null | undefined = start;
  for (const step of route) {
    if (step !== TAKE)
      node = step === NEXT ? node?.nextSibling : step === DOWN ? node?.firstChild : node?.parentNode;
    else if (nodes.push(node as Node) > (last as number)) break;
  }
  return nodes;
}

// Comparison with the skeleton

/** The place of `fragment` if exactly it stands from `node` up to `end`, or null. */
export function match(fragment: Fragment, node: Node | null, end: Node | null): Place | null {
  const place: Place = { nodes: [], ends: [] };
  if (fragment.plan.whole) return place;
  return alike(fragment.plan, stencil(fragment).model.firstChild, node, end, place) ? place : null;
}

/** `match` for a row that is one element: the white space around it is not looked at. */
export function matchRow(fragment: Fragment, row: Element): Place | null {
  const place: Place = { nodes: [], ends: [] };
  const model = stencil(fragment).model.firstElementChild;
  return model && alikeElements(fragment.plan, model, row, place) ? place : null;
}

function alike(plan: Plan, model: Node | null, node: Node | null, end: Node | null, place: Place): boolean {
  let [a, b] = [model, node];
  for (; a; a = a.nextSibling, b = b.nextSibling) {
    if (!b || b === end || a.nodeType !== b.nodeType) return false;
    if (isMark(a, OPEN) && isMark(b, OPEN)) {
      a = closing(a);
      b = take(plan, place, b, closing(b));
    } else if (isElement(a) ? !alikeElements(plan, a, b as Element, place) : a.nodeValue !== b.nodeValue)
      return false;
  }
  return b === end;
}

function alikeElements(plan: Plan, a: Element, b: Element, place: Place): boolean {
  const at = place.nodes.length;
  const anchor = isMarked(a) ? plan.anchors[at] : undefined;
  if (
    a.nodeName !== b.nodeName ||
    isMarked(a) !== isMarked(b) ||
    !alikeAttributes(a, b, anchor && plan.parts.filter((p) => p.anchor === at))
  )
    return false;
  if (anchor) take(plan, place, b, null);
  if (anchor?.closed) return true;
  if (a instanceof HTMLTemplateElement) return a.innerHTML === b.innerHTML;
  return alike(plan, a.firstChild, b.firstChild, null, place);
}

/** Whether `b` has the attributes of `a` and no others, except those that parts write. */
function alikeAttributes(a: Element, b: Element, parts: Part[] = []): boolean {
  const free = parts.some(({ kind }) => kind === TAG);
  const written = new Set([MARK, ...parts.map(({ name }) => name)]);
  const covers = (one: Element, other: Element) =>
    free ||
    one
      .getAttributeNames()
      .every((name) => written.has(name) || one.getAttribute(name) === other.getAttribute(name));
  return covers(a, b) && covers(b, a);
}
