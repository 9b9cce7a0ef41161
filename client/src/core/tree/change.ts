/**
 * Changes: applies a diff to the instances that stand in the page.
 *
 *     change(tree, root, [0, "x"], span)   writes "x" into part 0 of the root fragment
 */
import { clear, content, fail, first, isReachable, move, must, type Span } from "../dom/spans";
import type { BranchChange, BranchValue, Change, Diff, LoopChange, Value, Values } from "../protocol";
import { createBranch, createRows } from "./create";
import {
  type Branch,
  type Context,
  type Instance,
  instantiate,
  type Loop,
  type Row,
  spanOf,
} from "./instances";
import { BRANCH, LOOP } from "./marks";
import { locate, type Part } from "./plans";
import {
  arrange,
  type Block,
  bindRow,
  findRows,
  initialRows,
  nodesOf,
  pairs,
  place,
  removeRows,
  rootOf,
  rowSpan,
  rowStart,
} from "./rows";
import { anchorOfCopy } from "./templates";
import { writePart, writeValue } from "./values";

export function change(tree: Context, instance: Instance, diff: Diff, span: Span): void {
  for (let at = 0; at < diff.length; at += 2)
    changePart(tree, instance, diff[at] as number, diff[at + 1] as Change, span);
}

function changePart(tree: Context, instance: Instance, index: number, to: Change, span: Span): void {
  const part = must(instance.fragment.plan.parts[index], "a part");
  if (!isReachable(instance.nodes[part.anchor] ?? span.parent))
    fail(`part ${index} of fragment ${instance.fragment.number} is gone`);
  if (part.kind === BRANCH)
    changeBranch(tree, instance, index, to as BranchChange, spanOf(instance, part, span));
  else if (part.kind === LOOP)
    changeLoop(tree, instance, index, to as LoopChange, spanOf(instance, part, span));
  else writePart(tree, instance, part, span, to as Value);
}

// Branches

function changeBranch(tree: Context, instance: Instance, index: number, to: BranchChange, span: Span): void {
  const [number, diff, inside] = to;
  if (inside) change(tree, branchAt(instance, index, number as number, span), diff as Diff, span);
  else replaceBranch(instance, index, to as BranchValue, span);
}

function branchAt(instance: Instance, index: number, number: number, span: Span): Instance {
  const fragment = instance.fragment.all.get(number);
  const branch = (instance.inner[index] as Branch | undefined) ?? { fragment, instance: null };
  if (branch.fragment !== fragment) fail("another branch");
  instance.inner[index] = branch;
  return bindBranch(branch, span);
}

export function bindBranch(branch: Branch, span: Span): Instance {
  const { fragment } = branch;
  branch.instance ??= instantiate(fragment, null, locate(fragment.plan, first(span), span.after));
  return branch.instance;
}

export function replaceBranch(instance: Instance, index: number, value: BranchValue, span: Span): void {
  clear(span);
  const batch = new DocumentFragment();
  instance.inner[index] = createBranch(instance.fragment.all, value, batch);
  span.parent.insertBefore(batch, span.after);
}

// Loops

function changeLoop(tree: Context, instance: Instance, index: number, to: LoopChange, span: Span): void {
  const loop = loopAt(instance, index, span);
  const [updates, removes, moves, inserts] = to;
  for (let next = 0; updates && next < updates.length; next += 2) {
    const at = updates[next] as number;
    const diff = updates[next + 1] as Diff;
    if (!changeCopy(tree, loop, at, diff))
      change(tree, bindRow(loop, at, span), diff, rowSpan(loop, at, span));
  }
  if (removes) removeRows(loop, pairs(removes), span);
  if (moves || inserts) placeRows(loop, pairs(moves), pairs<number, Values[]>(inserts), span);
}

/**
 * Changes a flat row that is a copy, without binding it; false if something in it is not where it
 * was.
 */
function changeCopy(tree: Context, { fragment, rows }: Loop, at: number, diff: Diff): boolean {
  const row = rows[at] as Element | undefined;
  if (!fragment.plan.flatRow || !row?.isConnected) return false;
  for (let next = 0; next < diff.length; next += 2) {
    const part = fragment.plan.parts[diff[next] as number];
    const anchor = part && anchorOfCopy(fragment, row, part.anchor);
    if (!anchor) return false;
    writeValue(tree, fragment, part, anchor, () => content(anchor), diff[next + 1] as Value);
  }
  return true;
}

function loopAt(instance: Instance, index: number, span: Span): Loop {
  let loop = instance.inner[index] as Loop | undefined;
  if (!loop) {
    const { all, plan } = instance.fragment;
    const fragment = all.get((plan.parts[index] as Part).rows);
    const initial = fragment.plan.single && initialRows.get(span.before ?? span.parent);
    const rows = initial ? initial.filter((row) => row.isConnected) : findRows(span, fragment.plan);
    loop = { fragment, rows };
    instance.inner[index] = loop;
  }
  return loop;
}

export function placeRows(
  loop: Loop,
  moves: [number, number][],
  inserts: [number, Values[]][],
  span: Span,
): void {
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
        createRows(fragment, list, span.parent, before).forEach((row, index) => {
          rows[at + index] = row;
        }),
    });
  blocks.sort((a, b) => a.at - b.at);
  for (const [from] of moves.sort(([a], [b]) => b - a)) rows.splice(from, 1);
  place(arrange(rows, blocks), blocks, span, (row) => rowStart(rootOf(row), fragment.plan.lead));
}
