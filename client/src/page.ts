/**
 * The page: one method per frame that arrives, and the life of the connection.
 *
 *     act        an event of the user → `[ref, handler, params, args]`
 *     answer     `[ref, version, diff, …]` → the page changes, the event stops waiting
 *     resync     anything that does not fit → all values, please
 *
 * `version` counts the diffs applied. A diff must be the next one; what was missed comes as an `all` frame.
 */
import { type Action, Bindings } from "./bindings";
import { Fields } from "./forms";
import { showBanner, showError } from "./notices";
import { Tree } from "./parts";
import { Pending, report, type Waiting } from "./pending";
import {
  ALL,
  type All,
  type Answer,
  CLOSE_TOO_BIG,
  ERROR,
  type EventFrame,
  type Extra,
  type Frame,
  GO,
  type Go,
  JOIN,
  JOINED,
  type Joined,
  type Json,
  type Params,
  RESYNC,
  type Refusal,
} from "./protocol";
import { type Receiver, Transport } from "./transport";

/** An interruption shorter than this is nobody's business. */
const GRACE = 2000;
/** A page that cannot be brought up to date is loaded again, but not in a circle. */
const RELOAD_PAUSE = 60_000;
const RELOADED = "djust:reloaded";
const FRAMES_KEPT = 100;

/** An action under way, and the latest of those that came meanwhile. */
interface Slot {
  ref: number;
  next: Action | null;
}

export class Page implements Receiver {
  version = 0;
  connected = false;
  resyncs = 0;
  readonly frames: [direction: string, frame: Frame][] = [];
  readonly transport: Transport;
  private readonly fields = new Fields();
  private readonly tree = new Tree(this.fields.write);
  private readonly pending = new Pending();
  private readonly bindings = new Bindings((action) => this.act(action));
  private readonly slots = new Map<string, Slot>();
  private readonly unsent = new Set<number>();
  /** Tells this document from another one made of the same HTML. */
  private readonly document = `${Math.random()}`;
  private ref = 0;
  /** Waiting for the `all` frame that was asked for. */
  private syncing = false;
  private refused = false;
  private grace: number | null = null;

  constructor(
    url: string,
    private ticket: string,
    private debug: boolean,
  ) {
    this.transport = new Transport(url, this);
    this.startGrace();
    this.transport.connect();
  }

  // Events

  act(action: Action): void {
    const slot = this.slots.get(action.slot);
    if (this.refused) location.reload();
    else if (slot) slot.next = action;
    else if (!action.once || !this.pending.has(action.element)) this.send(action);
  }

  pushEvent(handler: string, params: Params = {}): Promise<Json> {
    this.bindings.flush();
    return new Promise((resolve, reject) => {
      this.dispatch([this.next(), handler, params], { element: null, source: null, resolve, reject });
    });
  }

  private send({ handler, params, args, slot, element, source, given }: Action): void {
    const ref = this.next();
    if (slot) this.slots.set(slot, { ref, next: null });
    const frame: EventFrame = args.length ? [ref, handler, params, args] : [ref, handler, params];
    this.dispatch(frame, { element, source, given });
  }

  /** The reference of the next event, after what has to go before it. */
  private next(): number {
    for (const slot of this.slots.values()) {
      const { next } = slot;
      slot.next = null;
      if (next) this.send({ ...next, slot: "" });
    }
    return ++this.ref;
  }

  private dispatch(frame: EventFrame, rest: Omit<Waiting, "ref" | "frame">): void {
    const [ref] = frame;
    this.fields.sent = ref;
    this.pending.add({ ref, frame, ...rest });
    if (this.connected) this.post(frame);
    else if (this.grace === null) this.end(ref, "The server cannot be reached.");
    else this.unsent.add(ref);
  }

  private post(frame: Frame): void {
    this.log("out", frame);
    this.transport.send(frame);
  }

  /** The event `ref` waits no longer. */
  private end(ref: number, error?: string, detail?: string, reply?: Json): void {
    this.unsent.delete(ref);
    if (error === undefined) this.pending.end(ref, reply);
    else {
      this.pending.fail(ref, error, detail);
      if (this.debug) showError(error, detail ?? "");
    }
    for (const [key, slot] of this.slots) {
      if (slot.ref !== ref) continue;
      this.slots.delete(key);
      if (slot.next) this.act(slot.next);
    }
  }

  // Connection

  opened(): void {
    const { pathname, search } = location;
    this.post([JOIN, this.ticket, this.version, pathname + search, this.document]);
  }

  lost(code: number, final: boolean): void {
    const was = this.connected;
    this.connected = false;
    this.syncing = false;
    this.refused = final;
    if (code === CLOSE_TOO_BIG) this.endLongest();
    if (final) this.slots.clear();
    if (final) for (const { ref } of this.pending.all()) this.end(ref, "The server refused this page.");
    else if (was) this.startGrace();
    if (was) announce("disconnected");
  }

  private startGrace(): void {
    this.grace ??= window.setTimeout(() => {
      this.grace = null;
      showBanner(true);
      for (const ref of this.unsent) this.end(ref, "The server cannot be reached.");
    }, GRACE);
  }

  private attach(): void {
    clearTimeout(this.grace ?? undefined);
    this.grace = null;
    this.connected = true;
    this.transport.settled();
    showBanner(false);
  }

  /** The frame that was too big is the longest, and must not be sent again. */
  private endLongest(): void {
    const size = ({ frame }: Waiting) => JSON.stringify(frame).length;
    const [longest] = this.pending.all().sort((a, b) => size(b) - size(a));
    if (longest) this.end(longest.ref, "The event is too big for the server.");
  }

  // Frames

  received(frame: Json[]): void {
    this.log("in", frame);
    const [name] = frame;
    if (typeof name === "number") this.answer(frame as Answer);
    else if (name === JOINED) this.joined(frame as Joined);
    else if (name === ALL) this.all(frame as All);
    else if (name === ERROR) this.error(frame as Refusal);
    else if (name === GO) go((frame as Go)[1]);
  }

  private joined([, version, lastRef = 0, extra]: Joined): void {
    this.attach();
    this.unsent.clear();
    const waiting = this.pending.all();
    for (const { ref, frame } of waiting) if (ref > lastRef) this.post(frame);
    for (const { ref } of waiting) if (ref <= lastRef) this.end(ref);
    if (version !== this.version) this.resync(`version ${version} instead of ${this.version}`);
    this.notice(extra);
    announce("connected");
  }

  private answer([ref, version, diff, fragments, extra]: Answer): void {
    const { error, detail, reply } = extra || {};
    if (!this.syncing)
      this.apply(ref, () => {
        if (fragments) this.tree.register(fragments);
        if (!diff) return;
        if (version !== this.version + 1) throw new Error(`version ${version} after ${this.version}`);
        this.tree.update(diff);
        this.version = version;
      });
    if (ref) this.end(ref, error, detail, reply);
    else if (error) this.alarm(error, detail);
    this.notice(extra);
    if (diff) announce("updated");
  }

  private all([, version, values, fragments, lastRef = 0, extra]: All): void {
    const wanted = this.syncing;
    this.syncing = false;
    this.attach();
    this.apply(
      0,
      () => this.tree.assign(values || [], fragments || [], extra ? extra.html : undefined),
      reload,
    );
    this.version = version;
    for (const { ref } of this.pending.all()) {
      if (ref <= lastRef) this.end(ref);
      else if (!wanted) this.end(ref, "The page was renewed before the server saw this.");
    }
    this.notice(extra);
    if (!wanted) announce("connected");
    announce("updated");
  }

  private error([, ref, text = "", detail]: Refusal): void {
    if (ref) this.end(ref, text, detail);
    else this.alarm(text, detail);
  }

  private alarm(text: string, detail = ""): void {
    report(document, { text, detail, ref: 0 });
    if (this.debug) showError(text, detail);
  }

  private notice(extra: 0 | Extra = 0): void {
    const { ticket, debug, push = [] } = extra || {};
    this.ticket = ticket ?? this.ticket;
    this.debug = debug ?? this.debug;
    for (const [name, payload] of push) {
      announce("push_event", { name, payload });
      announce(name, payload);
    }
  }

  // Changes of the page

  private apply(
    ref: number,
    change: () => void,
    failed = (error: Error) => this.resync(error.message),
  ): void {
    try {
      const { source = null, given = false } = this.pending.get(ref) ?? {};
      this.fields.begin(ref, source, given);
      this.pending.pause(change);
    } catch (error) {
      console.error("djust:", error);
      this.tree.forget();
      failed(error as Error);
    } finally {
      this.fields.end();
    }
  }

  private resync(reason: string): void {
    console.error(`djust: resync: ${reason}`);
    this.resyncs++;
    this.syncing = true;
    this.post([RESYNC, reason]);
  }

  private log(direction: string, frame: Frame): void {
    if (this.debug && this.frames.push([direction, frame]) > FRAMES_KEPT) this.frames.shift();
  }
}

function announce(name: string, detail?: unknown): void {
  document.dispatchEvent(new CustomEvent(`djust:${name}`, { detail }));
}

function go(url: string): void {
  if (new URL(url, location.href).href === location.href) reload();
  else location.assign(url);
}

function reload(): void {
  const last = Number(sessionStorage.getItem(RELOADED));
  if (Date.now() - last < RELOAD_PAUSE) {
    console.error("djust: the page cannot be brought up to date");
    return;
  }
  sessionStorage.setItem(RELOADED, `${Date.now()}`);
  location.reload();
}
