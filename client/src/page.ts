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
import { fail } from "./dom";
import { Extras } from "./extras";
import { Fields } from "./forms";
import { djust } from "./global";
import { announce, showBanner } from "./notices";
import { Tree } from "./parts";
import { Pending, type Waiting } from "./pending";
import {
  ALL,
  type All,
  type Answer,
  CLOSE_TOO_BIG,
  type Diff,
  ERROR,
  type EventFrame,
  type Extra,
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
/** The event that a page without any answers, for the fields: one before all that the user has done. */
const NONE = -0.5;
const UNREACHABLE = "The server cannot be reached.";

/** An action under way, and the latest of those that came meanwhile. */
interface Slot {
  ref: number;
  next: Action | null;
}

export class Page implements Receiver {
  private readonly _transport: Transport;
  private readonly _fields = new Fields();
  private readonly _tree = new Tree(this._fields.write);
  private readonly _pending = new Pending(
    (ref) => this._unsent.has(ref) || this._end(ref, "The server did not answer."),
  );
  private readonly _bindings = new Bindings((action) => this._act(action));
  private readonly _extras: Extras;
  private readonly _slots = new Map<string, Slot>();
  private readonly _unsent = new Set<number>();
  /** Tells this document from another one made of the same HTML. A secret: whoever knows it may have the page. */
  private readonly _document = crypto.getRandomValues(new Uint32Array(4)).join();
  private _ref = 0;
  /** Waiting for the `all` frame that was asked for. */
  private _syncing = false;
  private _refused = false;
  /** What the server has said of the connection, which is not said again until it is back. */
  private _said = "";
  private _grace: number | null = null;

  constructor(
    url: string,
    private _ticket: string,
  ) {
    Object.assign(djust, { version: 0, connected: false, pushEvent: this._push });
    this._transport = new Transport(url, this);
    this._startGrace(true);
    this._transport.connect();
    this._extras = new Extras(this._push, this._bindings, this._fields);
  }

  // Events

  private _act(action: Action): void {
    const slot = this._slots.get(action.slot);
    if (this._refused) location.reload();
    else if (slot) slot.next = action;
    else if (!action.once || !this._pending.marks.has(action.element)) this._send(action);
  }

  private readonly _push = (handler: string, params: Params = {}): Promise<Json> => {
    this._bindings.flush();
    const promise = new Promise<Json>((resolve, refuse) => {
      const reject = (error: Error) => {
        // Whoever does not look at the promise is told otherwise.
        queueMicrotask(() => promise.catch(() => {}));
        refuse(error);
      };
      this._dispatch([this._next(), handler, params, [], 1], { resolve, reject });
    });
    return promise;
  };

  private _send(action: Action): void {
    const { handler, params, args, slot } = action;
    const ref = this._next();
    if (slot) this._slots.set(slot, { ref, next: null });
    this._dispatch([ref, handler, params, ...(args.length ? [args] : [])], action);
  }

  /** The reference of the next event, after what has to go before it. */
  private _next(): number {
    for (const slot of this._slots.values()) {
      const { next } = slot;
      slot.next = null;
      if (next) this._send({ ...next, slot: "" });
    }
    return ++this._ref;
  }

  private _dispatch(frame: EventFrame, rest: Omit<Waiting, "ref" | "frame">): void {
    const [ref] = frame;
    this._fields.sent = ref;
    this._pending.add({ ref, frame, ...rest });
    if (djust.connected) this._transport.send(frame);
    else if (this._grace ?? rest.entry) this._unsent.add(ref);
    else this._end(ref, this._said || UNREACHABLE);
  }

  /** The event `ref` waits no longer; 0 stands for the connection. */
  private _end(ref: number, error?: string, detail?: string, reply?: Json): void {
    this._unsent.delete(ref);
    if (error) this._pending.fail(ref, error, detail);
    else this._pending.end(ref, reply);
    if (this._slots.size)
      for (const [key, slot] of this._slots) {
        if (slot.ref !== ref) continue;
        this._slots.delete(key);
        if (slot.next) this._act(slot.next);
      }
  }

  // Connection

  opened(): void {
    const url = location.pathname + location.search;
    this._transport.send([JOIN, this._ticket, djust.version, url, this._document]);
  }

  lost(code: number, final: boolean): void {
    const was = djust.connected;
    djust.connected = false;
    this._syncing = false;
    this._refused = final;
    if (code === CLOSE_TOO_BIG) this._endLongest();
    if (final) {
      this._slots.clear();
      for (const { ref } of this._pending.all()) this._end(ref, "The server refused this page.");
    } else if (was) this._startGrace();
    if (!was) return;
    announce("disconnected");
    this._extras._more?.tell("disconnected");
  }

  /** `first`: there was no connection yet, and perhaps no socket can be had at all. */
  private _startGrace(first?: boolean): void {
    this._grace ??= window.setTimeout(() => {
      this._grace = null;
      if (first) this._extras._run((more) => more.post());
      showBanner(true);
      for (const { ref, entry } of this._pending.all())
        if (!entry && this._unsent.has(ref)) this._end(ref, this._said || UNREACHABLE);
    }, GRACE);
  }

  private _attach(): void {
    clearTimeout(this._grace as number);
    this._grace = null;
    djust.connected = true;
    this._refused = false;
    this._said = "";
    this._transport.settled();
    showBanner(false);
  }

  /** The frame that was too big is the longest, and must not be sent again. */
  private _endLongest(): void {
    const size = ({ frame }: Waiting) => JSON.stringify(frame).length;
    const [longest] = this._pending.all().sort((a, b) => size(b) - size(a));
    if (longest) this._end(longest.ref, "This is too big for the server.");
  }

  // Frames

  received(frame: Json[], text: string): void {
    const name = frame[0];
    const isAnswer = typeof name === "number";
    if (isAnswer && this._written(frame as Answer)) return;
    this._extras._look(text);
    if (isAnswer) this._answer(frame as Answer);
    else if (name === JOINED) this._joined(frame as Joined);
    else if (name === ALL) this._all(frame as All);
    else if (name === ERROR) this._error(frame as Refusal);
    else if (name === GO) this._go((frame as Go)[1]);
  }

  private _joined([, version, lastRef = 0, extra]: Joined): void {
    this._attach();
    this._goOn(lastRef, extra);
    if (version !== djust.version) this._resync(`version ${version} instead of ${djust.version}`);
  }

  /**
   * Takes the usual answer, new values and nothing else while nothing shows that it waits. The way of all others is long
   * enough to double the time of a small change.
   */
  private _written({ 0: ref, 1: version, 2: diff, length }: Answer): boolean {
    if (
      length !== 3 ||
      version !== djust.version + 1 ||
      this._syncing ||
      this._extras._more ||
      this._pending.marks.size ||
      !this._tree.write(diff as Diff)
    )
      return false;
    djust.version = version;
    this._fields.begin(ref, this._pending.get(ref));
    this._fields.end();
    this._end(ref);
    return true;
  }

  private _answer(frame: Answer): void {
    const [ref, version, diff, fragments, extra] = frame;
    const { error, detail, reply } = extra || {};
    if (!this._syncing)
      this._apply(
        ref,
        () => {
          if (fragments) this._tree.register(fragments);
          if (!diff) return;
          if (version !== djust.version + 1) fail(`version ${version} instead of ${djust.version}`);
          this._tree.update(diff);
          djust.version = version;
        },
        undefined,
        error,
      );
    if (ref || error) this._end(ref, error, detail, reply);
    this._notice(extra);
  }

  private _all([, version, values, fragments, lastRef = 0, extra]: All): void {
    const joining = !djust.connected;
    const { error, detail, reply, html } = extra || {};
    this._syncing = false;
    this._attach();
    // What the template has written once and for all comes only with the whole document.
    this._apply(
      lastRef || NONE,
      () => this._tree.assign(values || [], fragments || [], html),
      html ? () => this._go(location.href) : ({ message }: Error) => this._resync(message, 1),
      error,
    );
    djust.version = version;
    if (joining) this._goOn(lastRef, extra);
    else {
      this._end(lastRef, error, detail, reply);
      this._notice(extra);
    }
  }

  /**
   * What the page has executed ends, what it has not seen is sent. Another page than before, which comes with a ticket of
   * its own, does not know what became of the events that its predecessor was sent.
   */
  private _goOn(lastRef: number, extra?: 0 | Extra): void {
    const { ticket } = extra || {};
    const waiting = this._pending.all();
    const lost = waiting.filter(
      (event) => (event.lost ||= !!ticket && event.ref > lastRef && !this._unsent.has(event.ref)),
    );
    const posted = waiting.filter((event) => !event.lost && event.ref > lastRef);
    for (const { frame } of posted) this._transport.send(frame);
    this._unsent.clear();
    for (const { ref } of waiting) if (ref <= lastRef) this._end(ref);
    if (ticket && this._ref)
      this._extras._run((more) => more.resend(posted, lost, (ref, error) => this._end(ref, error)));
    this._notice(extra);
    announce("connected");
    this._extras._more?.tell("reconnected");
  }

  private _error([, ref, text = "", detail]: Refusal): void {
    if (!ref) {
      if (text === this._said) return;
      this._said = text;
    }
    this._fields.begin(ref, this._pending.get(ref), text);
    this._fields.end();
    this._end(ref, text, detail);
  }

  private _notice(extra?: 0 | Extra): void {
    const { ticket, push = [] } = extra || {};
    this._ticket = ticket ?? this._ticket;
    for (const [name, payload] of push) {
      announce("push_event", { name, payload });
      announce(name, payload);
    }
  }

  /** Leaves the page, or loads it again. */
  private _go(url: string): void {
    this._extras._run((more) => more.go(url));
  }

  // Changes of the page

  private _apply(ref: number, change: () => void, failed?: (error: Error) => void, refused?: string): void {
    const more = this._extras._more;
    try {
      this._fields.begin(ref, this._pending.get(ref), refused);
      this._pending.pause(more ? () => more.watch(change) : change, ref);
    } catch (error) {
      this._failed(error as Error, failed);
    } finally {
      this._fields.end();
    }
    more?.changed();
  }

  private _failed(error: Error, failed = ({ message }: Error) => this._resync(message)): void {
    console.error("djust:", error);
    this._tree.forget();
    failed(error);
  }

  private _resync(reason: string, whole = 0): void {
    console.error(`djust: resync: ${reason}`);
    this._syncing = true;
    this._transport.send([RESYNC, reason, whole]);
  }
}
