/**
 * Names and shapes of everything that crosses the socket.
 *
 * The reference is `docs/protocol.md`; the server holds the same names in `protocol/frames.py`, and
 * a test compares the two.
 * Nothing here has behaviour.
 */

import type { Json } from "../../djust";

// Frames
export const JOIN = "join";
export const JOINED = "joined";
export const ALL = "all";
export const RESYNC = "resync";
export const ERROR = "error";
export const GO = "go";
export const PING = "ping";
export const PONG = "pong";

// Members of an answer's `extra`
export const EXTRA_PUSH = "push";
export const EXTRA_ERROR = "error";
export const EXTRA_DETAIL = "detail";
export const EXTRA_TICKET = "ticket";
export const EXTRA_REPLY = "reply";
export const EXTRA_HTML = "html";

// Close codes
export const CLOSE_TOO_BIG = 1009;
export const CLOSE_BAD_FRAME = 4400;
export const CLOSE_SESSION = 4401;
export const CLOSE_REFUSED = 4403;
export const CLOSE_NOT_JOINED = 4408;
export const CLOSE_TOO_MANY = 4429;

export type { Json };

export type Shape = 0 | [lead: number, trail: number];
export type WirePlan = [shape: Shape, anchors: (string | string[])[]];
export type Namespace = 0 | 1 | 2;
export type Entry = [number: number, plan: 0 | WirePlan, skeleton?: string, namespace?: Namespace];

export type PlainValue = string | number;
export type TextValue = PlainValue | [html: string];
export type TagValue = Record<string, string | null>;
export type BranchValue = [] | [fragment: number, values: Values];
export type RowsValue = Values[];
export type Value = TextValue | TagValue | BranchValue | RowsValue;
export type Values = Value[];

/** Flat: part, change, part, change, … */
export type Diff = (number | Change)[];
export type BranchChange = BranchValue | [fragment: number, diff: Diff, inside: 1];
export type LoopChange = [
  updates?: 0 | (number | Diff)[],
  removes?: 0 | number[],
  moves?: 0 | number[],
  inserts?: 0 | (number | Values[])[],
];
export type Change = TextValue | TagValue | BranchChange | LoopChange;

export interface Extra {
  [EXTRA_PUSH]?: [name: string, payload: Json][];
  [EXTRA_ERROR]?: string;
  [EXTRA_DETAIL]?: string;
  [EXTRA_TICKET]?: string;
  [EXTRA_REPLY]?: Json;
  [EXTRA_HTML]?: string;
}

export type Answer = [
  ref: number,
  version?: number,
  diff?: 0 | Diff,
  fragments?: 0 | Entry[],
  extra?: 0 | Extra,
];
export type Joined = [name: string, version: number, lastRef?: number, extra?: 0 | Extra];
export type All = [
  name: string,
  version: number,
  values?: 0 | Values,
  fragments?: 0 | Entry[],
  lastRef?: number,
  extra?: 0 | Extra,
];
export type Refusal = [name: string, ref: number, text?: string, detail?: string];
export type Go = [name: string, url: string];

export type Params = Record<string, Json>;
/** The rest: the target unless it is the page's root, arguments, 1 if a reply is wanted. */
export type EventFrame = [ref: number, handler: string, params: Params, ...rest: (string | Json[] | 1)[]];
export type Frame = (Json | Frame)[];
