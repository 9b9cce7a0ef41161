/**
 * Plans: what the server has sent about fragments of the template, and how marks lead to their
 * parts in the page.
 *
 * A plan `[[0, 1], [["@class"], ["t"], "t"]]` compiles to
 *
 *     anchors  [{element: true, closed: false}, {element: true, closed: true}, {element: false, closed: true}]
 *     parts    [{kind: "@", name: "class", anchor: 0}, {kind: "t", anchor: 1}, {kind: "t", anchor: 2}]
 *
 * A `Place` holds the nodes of the anchors in one copy of the fragment: for an element anchor the
 * element, for a comment anchor the two comments. `locate` finds it by the marks in what the server
 * rendered, `match` by comparison with the skeleton (`match.ts`), `follow` by position in a copy of
 * the skeleton (`templates.ts`).
 */
import { isPlainName } from "../dom/attributes";
import { fail, inside, isComment, isElement, must } from "../dom/spans";
import type { Entry, Namespace, WirePlan } from "../protocol";
import { ATTRIBUTE, BRANCH, CLOSE, LOOP, MARK, NODE_COMMENT, OPEN, RAW, TEXT, WHOLE } from "./marks";
import type { Template } from "./templates";

export interface Part {
  readonly kind: string;
  /**
   * The name of an attribute; of a tag part the names of the element's other attributes, with
   * commas.
   */
  readonly name: string;
  /** Of a loop the number of its rows' fragment. */
  readonly rows: number;
  readonly anchor: number;
  /** An attribute that the DOM sets as it is, and that means nothing to the user's input. */
  readonly plainAttribute: boolean;
}

interface Anchor {
  readonly element: boolean;
  /** What it contains belongs to its part. */
  readonly closed: boolean;
}

export interface Plan {
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
  /**
   * Rows whose marked elements are their anchors: only the root is kept, and they are bound when
   * needed.
   */
  readonly flatRow: boolean;
}

export interface Fragment {
  readonly number: number;
  /** Where its branches and loops find their fragments. */
  readonly all: Fragments;
  readonly plan: Plan;
  skeleton: string | undefined;
  namespace: Namespace;
  /** By the number of copies in them. */
  readonly templates: Record<number, Template>;
}

export interface Place {
  nodes: Node[];
  ends: (Node | null)[];
}

/** Kinds of parts that fill their anchor. */
const CONTENT = [TEXT, BRANCH, LOOP, RAW];

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
      closed: descriptors(anchor).some((d) => CONTENT.includes(d.charAt(0))),
    })),
    parts,
    leaf,
    flatRow: leaf && shape !== 0 && anchors.every((anchor) => typeof anchor !== "string"),
  };
}

const descriptors = (anchor: string | string[]): string[] =>
  typeof anchor === "string" ? [anchor.replace(WHOLE, "")] : anchor;

function part(descriptor: string, anchor: number): Part {
  const name = descriptor.slice(1);
  const kind = descriptor.charAt(0);
  return { kind, name, rows: Number(name), anchor, plainAttribute: kind === ATTRIBUTE && isPlainName(name) };
}

/** The fragments of one page by number. The plan of one may come first, and its skeleton later. */
export class Fragments {
  readonly #known: Fragment[] = [];

  constructor(entries: readonly Entry[] = []) {
    this.add(entries);
  }

  add(entries: readonly Entry[]): void {
    for (const [number, plan, skeleton, namespace = 0] of entries) {
      if (plan)
        this.#known[number] = { number, all: this, plan: compile(plan), skeleton, namespace, templates: {} };
      else Object.assign(this.get(number), { skeleton, namespace });
    }
  }

  get(number: number): Fragment {
    return must(this.#known[number], `fragment ${number}`);
  }
}

/**
 * Whether two fragments, perhaps of different numberings, are one; the rows of their loops are not
 * looked at.
 */
export const same = (a: Fragment, b: Fragment): boolean =>
  a === b || (a.skeleton === b.skeleton && a.plan.text === b.plan.text && a.namespace === b.namespace);

// Marks

export const isMark = (node: Node | null, data: string): boolean => isComment(node) && node.data === data;

/**
 * Whether the node is the comment that begins a span: of content, or of a node without a root
 * element.
 */
export const isOpen = (node: Node | null): node is Comment =>
  isComment(node) && (node.data === OPEN || node.data.startsWith(NODE_COMMENT));

export const isMarked = (node: Node | null): boolean => !!(node as Element | null)?.hasAttribute?.(MARK);

/** The anchors among the siblings from `node` up to `end`, in document order. */
export function locate(plan: Plan, node: Node | null, end: Node | null): Place {
  const place: Place = { nodes: [], ends: [] };
  if (plan.whole) return place;
  visit(plan, node, end, place);
  if (place.nodes.length < plan.anchors.length) fail("marks and plan differ");
  return place;
}

function visit(plan: Plan, from: Node | null, end: Node | null, place: Place): void {
  for (let node = from; node && node !== end; node = node.nextSibling) {
    if (place.nodes.length === plan.anchors.length) return;
    if (isElement(node)) visitElement(plan, node, place);
    else if (isOpen(node)) node = addAnchor(plan, place, node, closing(node));
  }
}

function visitElement(plan: Plan, element: Element, place: Place): void {
  const marked = isMarked(element);
  const anchor = plan.anchors[place.nodes.length];
  if (marked) addAnchor(plan, place, element, null);
  // The content of a template element is not among its children, so there is nothing to enter.
  if (!marked || !anchor?.closed) visit(plan, inside(element).firstChild, null, place);
}

/** Adds the next anchor to `place`; returns its last node. */
export function addAnchor(plan: Plan, place: Place, node: Node, end: Node | null): Node {
  const anchor = plan.anchors[place.nodes.length];
  if (anchor?.element !== isElement(node)) fail("marks and plan differ");
  place.nodes.push(node);
  place.ends.push(end);
  return end ?? node;
}

/**
 * The comment that ends what `open` begins. The browser's walker is ten times faster over many rows
 * than a loop here.
 */
export function closing(open: Node): Node {
  const parent = open.parentNode as Node;
  const walker = document.createTreeWalker(parent, NodeFilter.SHOW_COMMENT);
  walker.currentNode = open;
  for (let depth = 1; depth; ) {
    const node = must(walker.nextNode(), "a mark");
    if (node.parentNode !== parent) continue;
    if (isOpen(node)) depth++;
    else if (isMark(node, CLOSE)) depth--;
  }
  return walker.currentNode;
}
