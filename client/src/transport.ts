/**
 * The connection: one WebSocket at a time, made again whenever it goes away.
 *
 * It knows frames only as JSON arrays. Liveness is proved by any frame that arrives; a ping asks for one.
 */
import { djust } from "./global";
import { CLOSE_REFUSED, CLOSE_SESSION, type Frame, type Json, PING } from "./protocol";

export interface Receiver {
  /** The socket is open: the first frame has to be a join. */
  opened(): void;
  received(frame: Json[], text: string): void;
  /** The socket is gone; `final` if the server wants no other one. */
  lost(code: number, final: boolean): void;
}

/** The server ends. */
const RESTARTING = 1012;
/** What many clients are sent at the same time is answered within this time, at random. */
const SPREAD = 2000;
const FIRST_DELAY = 500;
const LAST_DELAY = 30_000;
/** A silence between once and twice this long is asked about. */
const HEARTBEAT = 12_500;
const DEADLINE = 10_000;

/** Milliseconds before attempt number `attempt` (from 0): doubling, and spread so that clients do not come in step. */
export const backoff = (attempt: number, random = Math.random()): number =>
  Math.min(LAST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + random / 2);

export class Transport {
  private _socket: WebSocket | null = null;
  private _attempt = 0;
  private _retry = 0;
  private _beat = 0;
  private _heard = false;
  private _stopped = false;
  /** The session is not known: somebody may be about to log in, and to have none for the moment. */
  private _awaitsSession = false;

  constructor(
    private readonly _url: string,
    private readonly _receiver: Receiver,
  ) {
    for (const name of ["online", "offline"]) addEventListener(name, () => this._wake());
    document.addEventListener("visibilitychange", () => document.hidden || this._wake());
    addEventListener("pageshow", ({ persisted }) => persisted && this.connect());
    addEventListener("pagehide", () => this.stop());
  }

  connect(): void {
    this._stopped = false;
    clearTimeout(this._retry);
    const socket = new (djust.Socket ?? WebSocket)(this._url);
    this._socket = socket;
    // What one says that was given up is not heard.
    socket.onopen = () => socket === this._socket && this._receiver.opened();
    socket.onmessage = ({ data }) => socket === this._socket && this._receive(data);
    socket.onclose = ({ code }) => socket === this._socket && this._lose(code);
    this._expect();
  }

  /** The join was accepted: the next loss starts with short delays again. */
  settled(): void {
    this._attempt = 0;
    this._awaitsSession = false;
    this._rest();
  }

  send(frame: Frame): void {
    const { _socket } = this;
    if (_socket?.readyState === WebSocket.OPEN) _socket.send(JSON.stringify(frame));
  }

  /** Closes the socket without making another one. */
  stop(): void {
    this._stopped = true;
    this._drop();
  }

  private _receive(text: string): void {
    this._heard = true;
    this._receiver.received(JSON.parse(text), text);
  }

  /** Asks for a sign of life after a while without one. */
  private _rest(): void {
    this._time(() => this._ping(), HEARTBEAT);
  }

  private _ping(): void {
    this.send([PING]);
    this._expect();
  }

  /** Something has to arrive before the deadline. */
  private _expect(): void {
    this._time(() => this._drop(), DEADLINE);
  }

  /** Runs `run` if nothing was heard until then. A timer for each frame, or the clock, would cost more than the frame. */
  private _time(run: () => void, milliseconds: number): void {
    this._heard = false;
    clearTimeout(this._beat);
    this._beat = window.setTimeout(() => (this._heard ? this._rest() : run()), milliseconds);
  }

  /** The network has come or gone, or the user is back: no waiting now. */
  private _wake(): void {
    const { _socket } = this;
    if (this._stopped) return;
    if (_socket?.readyState === WebSocket.OPEN) this._ping();
    else if (!_socket && navigator.onLine) this.connect();
  }

  /** Gives up the socket at once; a dead network would report its end only much later. */
  private _drop(): void {
    const { _socket } = this;
    if (!_socket) return;
    this._lose(0);
    _socket.close();
  }

  private _lose(code: number): void {
    const isSession = code === CLOSE_SESSION;
    this._awaitsSession ||= isSession;
    const final = code === CLOSE_REFUSED && !this._awaitsSession;
    const isForMany = !this._attempt && (isSession || code === RESTARTING);
    const pause = isForMany ? Math.random() * SPREAD : backoff(this._attempt);
    this._attempt++;
    this._socket = null;
    clearTimeout(this._beat);
    this._stopped ||= final;
    if (!this._stopped) this._retry = window.setTimeout(() => this.connect(), pause);
    this._receiver.lost(code, final);
  }
}
