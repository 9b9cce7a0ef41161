/**
 * Parts: writes values into the page and creates what is not there yet.
 *
 * A `Tree` is the page as the server knows it. It holds an `Instance` for every fragment whose parts were needed so far:
 * the nodes of its anchors, and what stands in its branches and loops. A row that was never touched is just its root
 * node, because binding it later costs nothing that binding it now would not.
 *
 *     tree.update([0, "x"])   writes "x" into part 0 of the root fragment
 *     tree.assign([…])        brings all parts of the root to the given values, keeping what is there
 */
import {
  addAttribute,
  clear,
  content,
  fail,
  first,
  importContent,
  insert,
  isElement,
  isMark,
  isText,
  lineStart,
  move,
  must,
  parseInside,
  type Span,
  setAttribute,
  writeText,
} from "./dom";
import {
  closing,
  type Fragment,
  Fragments,
  follow,
  locate,
  match,
  matchRow,
  type Part,
  type Place,
  same,
  stencil,
} from "./fragments";
import { djust } from "./global";
import { arrange, type Block, findRows, isFull, pairs, place, rowNodes, rowStart } from "./loops";
import { ATTRIBUTE, BRANCH, CLOSE, LOOP, MARK, OPEN, RAW, ROW, TAG, TEXT } from "./marks";
import type {
  BranchChange,
  BranchValue,
  Change,
  Diff,
  Entry,
  LoopChange,
  RowsValue,
  TagValue,
  TextValue,
  Value,
  Values,
} from "./protocol";
import { isLive, morph, type Writer } from "./regions";

type Row = ChildNode | Instance;

/** One copy of a fragment in the page. `root`: of a row, its element or comment. */
interface Instance extends Place {
  fragment: Fragment;
  root: ChildNode | null;
  /** By part: what stands in its branches and loops, as far as it is known. */
  inner: (Branch | Loop | undefined)[];
}

interface Branch {
  fragment: Fragment;
  instance: Instance | null;
}

interface Loop {
  fragment: Fragment;
  rows: Row[];
}

/** So many rows are copied at once: more is hardly faster, and the copies stay in memory. */
const MANY = 32;
const DOCUMENT: Span = { parent: document, before: null, after: null };

export class Tree {
  private fragments = new Fragments();
  private root: Instance | null = null;
  /** The element whose text the user is editing: nothing is written into it. Found out when it matters. */
  private edited: Element | null | undefined;

  constructor(private readonly writer: Writer) {}

  register(entries: readonly Entry[]): void {
    this.fragments.add(entries);
  }

  update(diff: Diff): void {
    this.edited = undefined;
    this.root ??= instantiate(this.fragments.get(0), null, bindRoot(this.fragments.get(0)));
    this.change(this.root, diff, DOCUMENT);
  }

  /** Replaces all numbers by those of `entries` and brings the page to `values`; first to `html`, another document. */
  assign(values: Values, entries: readonly Entry[], html?: string): void {
    this.edited = undefined;
    if (html) {
      morph(DOCUMENT, html, 0, this.writer);
      this.root = null;
    }
    this.fragments = new Fragments(entries);
    const fragment = this.fragments.get(0);
    const place = bindRoot(fragment);
    const old = this.root;
    const kept =
      old && same(old.fragment, fragment) && old.nodes.every((node, at) => node === place.nodes[at]);
    this.root = instantiate(fragment, null, place, kept ? old.inner : []);
    this.assignParts(this.root, values, DOCUMENT);
  }

  /** Drops what is known of the page, after a failure that may have left it half changed. */
  forget(): void {
    this.root = null;
  }

  // Changes

  private change(instance: Instance, diff: Diff, span: Span): void {
    for (let at = 0; at < diff.length; at += 2)
      this.changePart(instance, diff[at] as number, diff[at + 1] as Change, span);
  }

  private changePart(instance: Instance, index: number, change: Change, span: Span): void {
    const part = must(instance.fragment.plan.parts[index], "a part");
    if (!(instance.nodes[part.anchor] ?? span.parent).isConnected)
      fail(`part ${index} of fragment ${this.fragments._numberOf(instance.fragment)} is gone`);
    if (part.kind === BRANCH) {
      this.changeBranch(instance, index, change as BranchChange, spanOf(instance, part, span));
    } else if (part.kind === LOOP) {
      this.changeLoop(instance, index, change as LoopChange, spanOf(instance, part, span));
    } else this.assignPart(instance, part, change as Value, span);
  }

  private changeBranch(instance: Instance, index: number, change: BranchChange, span: Span): void {
    const [number, diff, inside] = change;
    if (inside) this.change(this.branchAt(instance, index, number as number, span), diff as Diff, span);
    else this.replaceBranch(instance, index, change as BranchValue, span);
  }

  private branchAt(instance: Instance, index: number, number: number, span: Span): Instance {
    const fragment = this.fragments.get(number);
    const branch = (instance.inner[index] as Branch | undefined) ?? { fragment, instance: null };
    if (branch.fragment !== fragment) fail("another branch");
    instance.inner[index] = branch;
    return this.bindBranch(branch, span);
  }

  private bindBranch(branch: Branch, span: Span): Instance {
    const { fragment } = branch;
    branch.instance ??= instantiate(fragment, null, locate(fragment.plan, first(span), span.after));
    return branch.instance;
  }

  private replaceBranch(instance: Instance, index: number, value: BranchValue, span: Span): void {
    clear(span);
    const batch = new DocumentFragment();
    instance.inner[index] = this.createBranch(value, batch);
    span.parent.insertBefore(batch, span.after);
  }

  private changeLoop(instance: Instance, index: number, change: LoopChange, span: Span): void {
    const loop = this.loopAt(instance, index, span);
    const [updates, removes, moves, inserts] = change;
    for (let next = 0; updates && next < updates.length; next += 2) {
      const at = updates[next] as number;
      this.change(bindRow(loop, at, span), updates[next + 1] as Diff, rowSpan(loop, at, span));
    }
    if (removes) removeRows(loop, pairs(removes), span);
    if (moves || inserts) this.placeRows(loop, pairs(moves), pairs<number, Values[]>(inserts), span);
  }

  private loopAt(instance: Instance, index: number, span: Span): Loop {
    let loop = instance.inner[index] as Loop | undefined;
    if (!loop) {
      const fragment = this.fragments.get((instance.fragment.plan.parts[index] as Part).rows);
      const written = fragment.plan.single && djust.written?.get(span.before ?? span.parent);
      const rows = written ? written.filter((row) => row.isConnected) : findRows(span, fragment.plan);
      loop = { fragment, rows };
      instance.inner[index] = loop;
    }
    return loop;
  }

  private placeRows(loop: Loop, moves: [number, number][], inserts: [number, Values[]][], span: Span): void {
    const { fragment, rows } = loop;
    const blocks: Block<Row>[] = moves.map(([from, at]) => {
      const nodes = nodesOf(loop, from, span);
      return { at, rows: [rows[from] as Row], put: (before) => move(span.parent, nodes, before) };
    });
    for (const [at, list] of inserts)
      blocks.push({
        at,
        rows: Array(list.length),
        put: (before) =>
          this.createRows(fragment, list, span.parent, before).forEach((row, index) => {
            rows[at + index] = row;
          }),
      });
    blocks.sort((a, b) => a.at - b.at);
    for (const [from] of moves.sort(([a], [b]) => b - a)) rows.splice(from, 1);
    place(arrange(rows, blocks), blocks, span, (row) => rowStart(rootOf(row), fragment.plan.lead));
  }

  // Single values

  /**
   * Writes values where they belong if nothing more is to be done. Else it returns false, and everything is to be done by
   * `update`, what was written already once more; what does not fit fails there.
   */
  write(diff: Diff): boolean {
    this.edited = undefined;
    try {
      return !!this.root && this.writeParts(this.root, diff);
    } catch {
      return false;
    }
  }

  private writeParts({ fragment, nodes, inner }: Instance, diff: Diff): boolean {
    for (let at = 0; at < diff.length; at += 2) {
      const index = diff[at] as number;
      const part = fragment.plan.parts[index];
      const change = diff[at + 1] as Change;
      if (
        !part ||
        !(part.kind === LOOP
          ? this.writeRows(inner[index] as Loop | undefined, change as LoopChange)
          : part.kind === BRANCH
            ? this.writeBranch(inner[index] as Branch | undefined, change as BranchChange)
            : nodes[part.anchor]?.isConnected &&
              this.writePart(part, nodes[part.anchor] as Element, change as Value))
      )
        return false;
    }
    return true;
  }

  private writeBranch(branch: Branch | undefined, [number, diff, inside]: BranchChange): boolean {
    if (!inside || branch?.fragment !== this.fragments.get(number as number)) return false;
    return !!branch.instance && this.writeParts(branch.instance, diff as Diff);
  }

  private writeRows(loop: Loop | undefined, { 0: updates, length }: LoopChange): boolean {
    if (!loop?.fragment.plan.plain || length > 1) return false;
    for (let next = 0; updates && next < updates.length; next += 2)
      if (!this.writeRow(loop, updates[next] as number, updates[next + 1] as Diff)) return false;
    return true;
  }

  /**
   * Writes a row of which nothing is kept but its root, the first anchor; in a copy of ours the others are where the route
   * leads, if their marks have their number.
   */
  private writeRow({ fragment, rows }: Loop, index: number, diff: Diff): boolean {
    const row = rows[index] as Element | undefined;
    if (!row?.isConnected) return false;
    for (let at = 0; at < diff.length; at += 2) {
      const part = fragment.plan.parts[diff[at] as number];
      if (!part) return false;
      const { anchor } = part;
      const node = anchor ? (follow(fragment.stencils[1]?.route, row, anchor)[anchor] as Element) : row;
      if (anchor && node?.getAttribute?.(MARK) !== `${anchor}`) return false;
      if (!this.writePart(part, node, diff[at + 1] as Value)) return false;
    }
    return true;
  }

  /** The usual cases: a plain attribute, and one text in an element that becomes another one. */
  private writePart(part: Part, element: Element, value: Value): boolean {
    if (part.bare) element.setAttribute(part.name, value as string);
    else {
      const node = element.firstChild;
      if (
        part.kind !== TEXT ||
        !isText(node) ||
        node.nextSibling ||
        !value ||
        typeof value === "object" ||
        djust.shadows ||
        this.isEditing()
      )
        return false;
      node.data = lineStart(element, `${value}`);
    }
    return true;
  }

  private assignPart(instance: Instance, part: Part, value: Value, span: Span, gently = false): void {
    const element = instance.nodes[part.anchor] as Element;
    if (part.kind === ATTRIBUTE) this.writeAttribute(element, part.name, `${value}`, gently);
    else if (part.kind === TAG) this.writeTag(element, part.name, value as TagValue, gently);
    else if (part.kind === RAW && element.nodeName === "TEXTAREA")
      this.writer(element, "value", `${value}`, gently);
    else this.writeContent(spanOf(instance, part, span), value as TextValue, instance.fragment);
  }

  private writeAttribute(element: Element, name: string, value: string | null, gently: boolean): void {
    if (isLive(element, name)) this.writer(element, name, value, gently);
    else setAttribute(element, name, value);
  }

  private writeTag(element: Element, others: string, value: TagValue, gently: boolean): void {
    for (const name of Object.keys(value))
      this.writeAttribute(element, name, value[name] as string | null, gently);
    if (!gently) return;
    // What neither the template names nor the value holds was the part's before.
    const rest = new Set([MARK, ...others.split(","), ...Object.keys(value)]);
    for (const name of element.getAttributeNames())
      if (!rest.has(name)) this.writeAttribute(element, name, null, gently);
  }

  private isEditing(): Element | null | undefined {
    if (this.edited === undefined) {
      const { activeElement: active, body } = document;
      // By the attribute: `isContentEditable` would make the browser compute styles for every frame.
      const none = active === body && !body.hasAttribute("contenteditable");
      this.edited = none ? null : active?.closest("[contenteditable]:not([contenteditable=false])");
    }
    return this.edited;
  }

  private writeContent(span: Span, value: TextValue, { namespace }: Fragment): void {
    if (this.isEditing()?.contains(span.parent)) return;
    const region = typeof value === "object";
    const source = region ? value[0] : `${value}`;
    const shown = span.before ? source : lineStart(span.parent, source);
    if (region) morph(span, shown, namespace, this.writer);
    else writeText(span, shown);
  }

  // Creation. Everything is complete before it comes into the page.

  private createBranch([number, values]: BranchValue, parent: Node): Branch | undefined {
    if (number === undefined) return undefined;
    const fragment = this.fragments.get(number);
    const copy = stencil(fragment).model.cloneNode(true);
    const nodes = follow(stencil(fragment).route, copy.firstChild);
    const inner = this.fill(fragment, nodes, values as Values, copy);
    parent.appendChild(copy);
    return { fragment, instance: fragment.plan.leaf ? null : created(fragment, null, nodes, inner) };
  }

  /** Copies many rows at once where there are many: each call of the browser costs. */
  private createRows(fragment: Fragment, list: readonly Values[], parent: Node, before: Node | null): Row[] {
    const { single } = fragment.plan;
    const rows: Row[] = [];
    while (rows.length < list.length) {
      const count = single && list.length - rows.length >= MANY ? MANY : 1;
      const batch = stencil(fragment, count).model.cloneNode(true) as DocumentFragment;
      if (!single) batch.prepend(new Comment(ROW));
      let root = single ? batch.firstElementChild : batch.firstChild;
      for (; root; root = single ? (root as Element).nextElementSibling : null)
        rows.push(this.fillRow(fragment, root, list[rows.length] as Values, batch));
      parent.insertBefore(batch, before);
    }
    return rows;
  }

  private fillRow(fragment: Fragment, root: ChildNode, values: Values, batch: DocumentFragment): Row {
    const nodes = follow(stencil(fragment).route, fragment.plan.single ? root : root.nextSibling);
    const inner = this.fill(fragment, nodes, values, batch);
    return fragment.plan.leaf ? root : created(fragment, root, nodes, inner);
  }

  /** Fills a copy; `whole` is what it stands in. */
  private fill(fragment: Fragment, nodes: Node[], values: Values, whole: Node): Instance["inner"] {
    const { parts } = fragment.plan;
    const { quick } = stencil(fragment);
    const inner: Instance["inner"] = [];
    for (let at = 0; at < parts.length; at++) {
      const part = parts[at] as Part;
      const value = values[at] as Value;
      const node = (nodes[part.anchor] ?? whole) as Element;
      if (!quick[at] || typeof value === "object") inner[at] = this.fillPart(fragment, part, node, value);
      else if (value !== "")
        if (part.bare) node.setAttribute(part.name, value as string);
        else node.textContent = value as string;
      else if (part.bare && part.name !== "class") node.setAttribute(part.name, value);
    }
    return inner;
  }

  private fillPart(fragment: Fragment, part: Part, node: Element, value: Value): Branch | Loop | undefined {
    const { kind } = part;
    if (kind === BRANCH || kind === LOOP) return this.fillInner(part, node, value);
    if (kind === ATTRIBUTE) addAttribute(node, part.name, `${value}`);
    else if (kind === TAG) this.writeNewTag(node, value as TagValue);
    else this.fillContent(fragment, node, value as TextValue);
    return undefined;
  }

  private writeNewTag(element: Element, value: TagValue): void {
    for (const name of Object.keys(value)) setAttribute(element, name, value[name] as string | null);
  }

  private fillContent({ namespace }: Fragment, node: Node, value: TextValue): void {
    if (typeof value === "object") {
      const context = node.nodeType === 8 ? (node.parentNode as Node) : node;
      insert(node, importContent(parseInside(context, lineStart(node, value[0]), namespace)));
    } else if (value !== "") insert(node, new Text(lineStart(node, `${value}`)));
  }

  private fillInner(part: Part, node: Node, value: Value): Branch | Loop | undefined {
    const batch = new DocumentFragment();
    const inner =
      part.kind === BRANCH
        ? this.createBranch(value as BranchValue, batch)
        : this.createLoop(part.rows, value as RowsValue, batch);
    insert(node, batch);
    return inner;
  }

  private createLoop(number: number, rows: RowsValue, parent: Node): Loop | undefined {
    if (!rows.length) return undefined;
    const fragment = this.fragments.get(number);
    return { fragment, rows: this.createRows(fragment, rows, parent, null) };
  }

  // Assignment

  private assignParts(instance: Instance, values: Values, span: Span): void {
    const { parts } = instance.fragment.plan;
    parts.forEach((part, index) => {
      const value = must(values[index], "a value");
      if (part.kind === BRANCH)
        this.assignBranch(instance, index, value as BranchValue, spanOf(instance, part, span));
      else if (part.kind === LOOP)
        this.assignLoop(instance, index, value as RowsValue, spanOf(instance, part, span));
      else this.assignPart(instance, part, value, span, true);
    });
  }

  private assignBranch(instance: Instance, index: number, value: BranchValue, span: Span): void {
    const [number, values] = value;
    const fragment = number === undefined ? null : this.fragments.get(number);
    const known = fragment && this.knownBranch(instance, index, fragment, span);
    if (known) {
      instance.inner[index] = { fragment, instance: known };
      this.assignParts(known, values as Values, span);
    } else this.replaceBranch(instance, index, value, span);
  }

  /** The instance that stands in a branch if it is one of `fragment`. */
  private knownBranch(instance: Instance, index: number, fragment: Fragment, span: Span): Instance | null {
    const branch = instance.inner[index] as Branch | undefined;
    if (branch && same(branch.fragment, fragment)) {
      const { inner, ...place } = this.bindBranch(branch, span);
      return instantiate(fragment, null, place, inner);
    }
    const place = match(fragment, first(span), span.after);
    return place && instantiate(fragment, null, place);
  }

  private assignLoop(instance: Instance, index: number, values: RowsValue, span: Span): void {
    const { rows: number } = instance.fragment.plan.parts[index] as Part;
    if (!values.length) {
      clear(span);
      instance.inner[index] = undefined;
      return;
    }
    const loop = this.knownLoop(instance.inner[index] as Loop | undefined, this.fragments.get(number), span);
    instance.inner[index] = loop;
    const spare = loop.rows.length - values.length;
    if (spare > 0) removeRows(loop, [[values.length, spare]], span);
    loop.rows.forEach((_, at) => {
      this.assignParts(bindRow(loop, at, span), values[at] as Values, rowSpan(loop, at, span));
    });
    if (spare < 0) this.placeRows(loop, [], [[loop.rows.length, values.slice(loop.rows.length)]], span);
  }

  /** The loop in `span` if its rows are of `fragment`, else an empty one in its place. */
  private knownLoop(loop: Loop | undefined, fragment: Fragment, span: Span): Loop {
    if (loop && same(loop.fragment, fragment))
      return { fragment, rows: loop.rows.map((row) => renewed(row, fragment)) };
    const rows = matchRows(fragment, span);
    if (!rows) clear(span);
    return { fragment, rows: rows ?? [] };
  }
}

// Instances

function instantiate(
  fragment: Fragment,
  root: ChildNode | null,
  { nodes, ends }: Place,
  inner: Instance["inner"] = [],
): Instance {
  return { fragment, root, nodes, ends, inner };
}

const created = (
  fragment: Fragment,
  root: ChildNode | null,
  nodes: Node[],
  inner: Instance["inner"],
): Instance => {
  const ends = nodes.map((node) => (isElement(node) ? null : closing(node)));
  return instantiate(fragment, root, { nodes, ends }, inner);
};

function bindRoot({ plan }: Fragment): Place {
  gatherMarks();
  return locate(plan, document.firstChild, null);
}

/** Comments that stand before the body began were put beside the root element: they go where their content is. */
function gatherMarks(): void {
  const strays = [...document.childNodes].filter((node) => isMark(node, OPEN) || isMark(node, CLOSE));
  document.body.prepend(...strays);
}

/** Where the content of `part` stands; `span` is the range of the whole instance. */
function spanOf({ fragment, nodes, ends }: Instance, { anchor }: Part, span: Span): Span {
  if (fragment.plan.whole) return span;
  const node = nodes[anchor] as Node;
  const after = ends[anchor];
  return after ? { parent: node.parentNode as Node, before: node, after } : content(node as Element);
}

// Rows

const rootOf = (row: Row): ChildNode => (row instanceof Node ? row : (row.root as ChildNode));

const endOf = ({ rows }: Loop, at: number, span: Span): Node | null => {
  const next = rows[at + 1];
  return next ? rootOf(next) : span.after;
};

const rowSpan = (loop: Loop, at: number, span: Span): Span => ({
  parent: span.parent,
  before: rootOf(loop.rows[at] as Row),
  after: endOf(loop, at, span),
});

const nodesOf = (loop: Loop, at: number, span: Span): ChildNode[] =>
  rowNodes(rootOf(must(loop.rows[at], "a row")), endOf(loop, at, span), loop.fragment.plan);

function bindRow(loop: Loop, at: number, span: Span): Instance {
  const row = must(loop.rows[at], "a row");
  if (!(row instanceof Node)) return row;
  const { plan } = loop.fragment;
  const place = plan.single
    ? locate(plan, row, row.nextSibling)
    : locate(plan, row.nextSibling, endOf(loop, at, span));
  const instance = instantiate(loop.fragment, row, place);
  if (!plan.plain) loop.rows[at] = instance;
  return instance;
}

function removeRows(loop: Loop, removes: [number, number][], span: Span): void {
  const { rows } = loop;
  if (removes[0]?.[1] === rows.length && isFull(span, rows.length, loop.fragment.plan)) clear(span);
  else
    for (const [from, count] of removes)
      for (let at = from; at < from + count; at++) for (const node of nodesOf(loop, at, span)) node.remove();
  for (const [from, count] of removes.reverse()) rows.splice(from, count);
}

const renewed = (row: Row, fragment: Fragment): Row => (row instanceof Node ? row : { ...row, fragment });

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
      : match(fragment, root.nextSibling, endOf(loop, at, span));
    if (!place || nodes[0] !== expected) return null;
    if (single && spaces(nodes) !== spaces([...stencil(fragment).model.childNodes])) return null;
    rows.push(instantiate(fragment, root, place));
    expected = (nodes[nodes.length - 1] as ChildNode).nextSibling;
  }
  return expected === span.after ? rows : null;
}

/** The white space around the element of a row. */
const spaces = (nodes: readonly Node[]): string =>
  nodes.map((node) => (isText(node) ? node.data : "")).join("");
