/**
 * The connection: one WebSocket at a time, made again whenever it goes away.
 *
 * It knows frames only as JSON arrays. Any frame that arrives proves that the connection is alive;
 * a ping asks for one.
 */
import { djust } from "./global";
import { CLOSE_REFUSED, CLOSE_SESSION, type Frame, type Json, PING } from "./protocol";

export interface Receiver {
  /** The socket is open: the first frame has to be a join. */
  opened(): void;
  received(frame: Json[], text: string): void;
  /** The socket is gone; `final` if the server does not accept another one. */
  lost(code: number, final: boolean): void;
}

/** Close code: the server ends. */
const RESTARTING = 1012;
/**
 * Many clients lose their connection at the same time: they come back within this time, at random.
 */
const SPREAD = 2000;
const FIRST_DELAY = 500;
const LAST_DELAY = 30_000;
/** After a silence of one to two times this long, the client sends a ping. */
const HEARTBEAT = 12_500;
const DEADLINE = 10_000;

/**
 * Milliseconds before attempt number `attempt` (from 0): doubling, and random, so that clients do
 * not come at the same time.
 */
export const backoff = (attempt: number, random = Math.random()): number =>
  Math.min(LAST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + random / 2);

export class Transport {
  #socket: WebSocket | null = null;
  #attempt = 0;
  #retry = 0;
  #beat = 0;
  #heard = false;
  #stopped = false;
  /** The session is not known: the user may be logging in, and have no session for the moment. */
  #awaitsSession = false;

  readonly #url: string;
  readonly #receiver: Receiver;

  constructor(url: string, receiver: Receiver) {
    this.#url = url;
    this.#receiver = receiver;
    for (const name of ["online", "offline"]) addEventListener(name, () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    addEventListener("pageshow", ({ persisted }) => persisted && this.connect());
    addEventListener("pagehide", () => this.stop());
  }

  connect(): void {
    this.#stopped = false;
    clearTimeout(this.#retry);
    const socket = new (djust.Socket ?? WebSocket)(this.#url);
    this.#socket = socket;
    // A socket that was given up is ignored.
    socket.onopen = () => socket === this.#socket && this.#receiver.opened();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#lose(code);
    this.#expect();
  }

  /** The join was accepted: the next loss starts with short delays again. */
  settled(): void {
    this.#attempt = 0;
    this.#awaitsSession = false;
    this.#rest();
  }

  send(frame: Frame): void {
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  /** Closes the socket without making another one. */
  stop(): void {
    this.#stopped = true;
    this.#drop();
  }

  #receive(text: string): void {
    this.#heard = true;
    this.#receiver.received(JSON.parse(text), text);
  }

  /** Asks for a heartbeat after some silence. */
  #rest(): void {
    this.#time(() => this.#ping(), HEARTBEAT);
  }

  #ping(): void {
    this.send([PING]);
    this.#expect();
  }

  /** A frame has to arrive before the deadline. */
  #expect(): void {
    this.#time(() => this.#drop(), DEADLINE);
  }

  /**
   * Calls `run` if nothing arrives until then. A timer for each frame, or reading the clock, would
   * cost more than the frame.
   */
  #time(run: () => void, milliseconds: number): void {
    this.#heard = false;
    clearTimeout(this.#beat);
    this.#beat = window.setTimeout(() => (this.#heard ? this.#rest() : run()), milliseconds);
  }

  /** The network has come or gone, or the user is back: do not wait for the timer. */
  #wake(): void {
    const socket = this.#socket;
    if (this.#stopped) return;
    if (socket?.readyState === WebSocket.OPEN) this.#ping();
    else if (!socket && navigator.onLine) this.connect();
  }

  /** Gives up the socket at once: on a dead network, its end would be reported much later. */
  #drop(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#lose(0);
    socket.close();
  }

  #lose(code: number): void {
    const isSession = code === CLOSE_SESSION;
    this.#awaitsSession ||= isSession;
    const final = code === CLOSE_REFUSED && !this.#awaitsSession;
    const isForMany = !this.#attempt && (isSession || code === RESTARTING);
    const pause = isForMany ? Math.random() * SPREAD : backoff(this.#attempt);
    this.#attempt++;
    this.#socket = null;
    clearTimeout(this.#beat);
    this.#stopped ||= final;
    if (!this.#stopped) this.#retry = window.setTimeout(() => this.connect(), pause);
    this.#receiver.lost(code, final);
  }
}
