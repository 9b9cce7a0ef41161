/**
 * The page: one method per frame that arrives, and the life of the connection.
 *
 *     act        an event of the user → `[ref, handler, params, …]`
 *     answer     `[ref, version, diff, …]` → the page changes, the event stops waiting
 *     resync     anything that does not fit → all values, please
 *
 * `version` counts the diffs applied. A diff must be the next one; what was missed comes as an
 * `all` frame.
 */
import { type Action, Bindings } from "./bindings";
import { fail, shadows } from "./dom/spans";
import { BEFORE_FIRST_EVENT, Fields } from "./fields";
import { djust } from "./global";
import { leaveFor } from "./leave";
import { Modules } from "./modules";
import { announce, showBanner } from "./notices";
import { Overlays } from "./overlays";
import { Pending, type Waiting } from "./pending";
import {
  ALL,
  type All,
  type Answer,
  CLOSE_TOO_BIG,
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
import { replayFields } from "./recovery";
import { noteSpans, targetOf } from "./targets";
import { type Receiver, Transport } from "./transport";
import { initialRows } from "./tree/rows";
import { Tree } from "./tree/tree";

/** An interruption shorter than this is not shown. */
const BANNER_DELAY = 2000;
const UNREACHABLE = "The server cannot be reached.";
const RELOADED = "The page was reloaded; your last action may not have been saved.";

/** What is sent: an action of the user, or a call by a script, which waits for its reply. */
type Outgoing = Pick<Action, "handler" | "params" | "target" | "args" | "slot"> &
  Omit<Waiting, "ref" | "frame" | "sentAt">;

/** An action under way, and the latest of those that came meanwhile. */
interface Slot {
  ref: number;
  next: Action | null;
}

export class Page implements Receiver {
  readonly #transport: Transport;
  readonly #fields = new Fields();
  readonly #tree = new Tree(this.#fields.write);
  readonly #pending = new Pending(new Overlays(), (ref) => this.#end(ref, "The server did not answer."));
  readonly #bindings = new Bindings((action) => this.#act(action));
  readonly #modules: Modules;
  readonly #slots = new Map<string, Slot>();
  /** Tells this document from another one made of the same HTML. A secret: whoever knows it may have the page. */
  readonly #tabId = crypto.getRandomValues(new Uint32Array(4)).join();
  #joinToken: string;
  #ref = 0;
  /** Waiting for the `all` frame that was asked for. */
  #syncing = false;
  #refused = false;
  /** The last error of the connection, which is not shown again until the connection is back. */
  #connectionError = "";
  #bannerTimer: number | null = null;

  constructor(url: string, joinToken: string) {
    this.#joinToken = joinToken;
    Object.assign(djust, { version: 0, connected: false, pushEvent: this.#push });
    this.#transport = new Transport(url, this);
    this.#startBannerTimer(true);
    this.#transport.connect();
    this.#modules = new Modules({
      bindings: this.#bindings,
      shadows,
      initialRows,
      pushEvent: this.#push,
    });
    this.#prepareFor(document.documentElement.outerHTML);
  }

  /** Prepares for what the HTML of the page or of a frame mentions. */
  #prepareFor(html: string): void {
    noteSpans(html);
    this.#modules.loadIfMentioned(html);
  }

  // Events

  #act(action: Action): void {
    const slot = this.#slots.get(action.slot);
    if (this.#refused) location.reload();
    else if (slot) slot.next = action;
    else if (!action.exclusive || !this.#pending.isWaiting(action.element)) this.#send(action);
  }

  readonly #push = (handler: string, params: Params = {}, element?: Element): Promise<Json> => {
    const target = element ? targetOf(element) : null;
    this.#bindings.flush();
    const promise = new Promise<Json>((resolve, refuse) => {
      const reject = (error: Error) => {
        // The user sees the failure even if no script uses the promise.
        queueMicrotask(() => promise.catch(() => {}));
        refuse(error);
      };
      this.#send({ handler, params, target, args: [], slot: "", resolve, reject });
    });
    return promise;
  };

  #send({ handler, params, target, args, slot, ...rest }: Outgoing): void {
    const ref = this.#nextRef();
    if (slot) this.#slots.set(slot, { ref, next: null });
    const frame: EventFrame = [ref, handler, params];
    if (target) frame.push(target);
    if (rest.resolve) frame.push(args, 1);
    else if (args.length) frame.push(args);
    const sentAt = djust.connected ? performance.now() : undefined;
    this.#fields.sent = ref;
    this.#pending.add({ ref, frame, sentAt, ...rest });
    if (sentAt !== undefined) this.#transport.send(frame);
    else if (!this.#bannerTimer && !rest.isInput) this.#end(ref, this.#connectionError || UNREACHABLE);
  }

  /** The reference of the next event, after those that have to be sent before it. */
  #nextRef(): number {
    for (const slot of this.#slots.values()) {
      const { next } = slot;
      slot.next = null;
      if (next) this.#send({ ...next, slot: "" });
    }
    return ++this.#ref;
  }

  /** The event `ref` waits no longer; 0 stands for the connection. */
  #end(ref: number, error?: string, detail?: string, reply?: Json): void {
    if (error) this.#pending.fail(ref, error, detail);
    else this.#pending.end(ref, reply);
    for (const [key, slot] of this.#slots) {
      if (slot.ref !== ref) continue;
      this.#slots.delete(key);
      if (slot.next) this.#act(slot.next);
    }
  }

  // Connection

  opened(): void {
    const url = location.pathname + location.search;
    this.#transport.send([JOIN, this.#joinToken, djust.version, url, this.#tabId]);
  }

  lost(code: number, final: boolean): void {
    const was = djust.connected;
    djust.connected = false;
    this.#syncing = false;
    this.#refused = final;
    if (code === CLOSE_TOO_BIG) this.#endLongest();
    if (final) {
      this.#slots.clear();
      for (const { ref } of this.#pending.all()) this.#end(ref, "The server refused this page.");
    } else if (was) this.#startBannerTimer();
    if (!was) return;
    announce("disconnected");
    this.#modules.notify("disconnected");
  }

  /** `first`: there was no connection yet, and perhaps sockets are blocked. */
  #startBannerTimer(first?: boolean): void {
    this.#bannerTimer ??= window.setTimeout(() => {
      this.#bannerTimer = null;
      if (first) this.#modules.load("post");
      showBanner(true);
      for (const { ref, isInput, sentAt } of this.#pending.all())
        if (sentAt === undefined && !isInput) this.#end(ref, this.#connectionError || UNREACHABLE);
    }, BANNER_DELAY);
  }

  #attach(): void {
    clearTimeout(this.#bannerTimer as number);
    this.#bannerTimer = null;
    djust.connected = true;
    this.#refused = false;
    this.#connectionError = "";
    this.#transport.settled();
    showBanner(false);
  }

  /** The longest frame was too large, and must not be sent again. */
  #endLongest(): void {
    const size = ({ frame }: Waiting) => JSON.stringify(frame).length;
    const [longest] = this.#pending.all().sort((a, b) => size(b) - size(a));
    if (longest) this.#end(longest.ref, "The message is too large.");
  }

  // Frames

  received(frame: Json[], text: string): void {
    const name = frame[0];
    this.#prepareFor(text);
    if (typeof name === "number") this.#answer(frame as Answer);
    else if (name === JOINED) this.#joined(frame as Joined);
    else if (name === ALL) this.#all(frame as All);
    else if (name === ERROR) this.#error(frame as Refusal);
    else if (name === GO) leaveFor((frame as Go)[1]);
  }

  #joined([, version, lastRef = 0, extra]: Joined): void {
    this.#attach();
    this.#goOn(lastRef, extra);
    if (version !== djust.version) this.#resync(`version ${version} instead of ${djust.version}`);
  }

  #answer([ref, version, diff, fragments, extra]: Answer): void {
    const { error, detail, reply } = extra || {};
    if (!this.#syncing)
      this.#apply(
        ref,
        () => {
          if (fragments) this.#tree.register(fragments);
          if (!diff) return;
          if (version !== djust.version + 1) fail(`version ${version} instead of ${djust.version}`);
          this.#tree.update(diff);
          djust.version = version;
        },
        undefined,
        error,
      );
    if (ref || error) this.#end(ref, error, detail, reply);
    this.#notice(extra);
  }

  #all([, version, values, fragments, lastRef = 0, extra]: All): void {
    const joining = !djust.connected;
    const { error, detail, reply, html } = extra || {};
    this.#syncing = false;
    this.#attach();
    // The static parts of the template come only with the whole document.
    this.#apply(
      lastRef || BEFORE_FIRST_EVENT,
      () => this.#tree.assign(values || [], fragments || [], html),
      html ? () => leaveFor(location.href) : ({ message }: Error) => this.#resync(message, 1),
      error,
    );
    djust.version = version;
    if (joining) this.#goOn(lastRef, extra);
    else {
      this.#end(lastRef, error, detail, reply);
      this.#notice(extra);
    }
  }

  /**
   * Ends the events that the page has executed, and sends those that it has not seen. A new page,
   * which comes with a join token of its own, does not know what became of the events that were
   * sent to the one before.
   */
  #goOn(lastRef: number, extra?: 0 | Extra): void {
    const { ticket } = extra || {};
    const waiting = this.#pending.all();
    const lost = waiting.filter(
      (event) => (event.lost ||= !!ticket && event.ref > lastRef && event.sentAt !== undefined),
    );
    const posted = waiting.filter((event) => !event.lost && event.ref > lastRef);
    for (const event of posted) {
      event.sentAt ??= performance.now();
      this.#transport.send(event.frame);
    }
    for (const { ref } of waiting) if (ref <= lastRef) this.#end(ref);
    this.#notice(extra);
    announce("connected");
    this.#modules.notify("reconnected");
    if (!ticket || !this.#ref) return;
    replayFields(this.#fields, this.#bindings, posted, lost);
    for (const { ref, isInput } of lost) this.#end(ref, isInput ? undefined : RELOADED);
  }

  #error([, ref, text = "", detail]: Refusal): void {
    if (!ref) {
      if (text === this.#connectionError) return;
      this.#connectionError = text;
    }
    this.#fields.begin(ref, this.#pending.get(ref), text);
    this.#fields.end();
    this.#end(ref, text, detail);
  }

  #notice(extra?: 0 | Extra): void {
    const { ticket, push = [] } = extra || {};
    this.#joinToken = ticket ?? this.#joinToken;
    for (const [name, payload] of push) {
      announce("push_event", { name, payload });
      announce(name, payload);
    }
  }

  // Changes of the page

  #apply(ref: number, change: () => void, failed?: (error: Error) => void, refused?: string): void {
    try {
      this.#fields.begin(ref, this.#pending.get(ref), refused);
      this.#pending.lift(() => this.#modules.watch(change), ref);
    } catch (error) {
      this.#failed(error as Error, failed);
    } finally {
      this.#fields.end();
    }
    this.#modules.changed();
  }

  #failed(error: Error, failed = ({ message }: Error) => this.#resync(message)): void {
    console.error("djust:", error);
    this.#tree.forget();
    failed(error);
  }

  #resync(reason: string, whole = 0): void {
    console.error(`djust: resync: ${reason}`);
    this.#syncing = true;
    this.#transport.send([RESYNC, reason, whole]);
  }
}
