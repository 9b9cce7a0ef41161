/**
 * The way without a socket, a file of its own: `Posts` does what a `WebSocket` does, by POSTs to the page's own URL.
 *
 * It comes before the client where the server has no sockets, and is loaded by it where none can be had. One request is
 * under way at a time, so frames arrive in order; what is sent meanwhile goes with the next one. Pushes come through an
 * event stream once that is known to work, else with the next answer.
 */
import { djust } from "./global";

const HEADER = "X-Djust";
const GONE = 1006;
/** Where sockets were blocked, one is tried again after so many milliseconds. */
const RETRY = 300_000;

let token = document.currentScript?.getAttribute("data-csrf") ?? "";
/** The server has no sockets at all. */
const forced = !!token;
const before = djust.Socket;

class Posts {
  static readonly OPEN = 1;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  private _id = "";
  private _queue: string[] = [];
  private _busy = false;
  private _stream: EventSource | null = null;
  private _streams = false;

  constructor(private readonly _socket: string) {
    setTimeout(() => {
      if (this.readyState) return;
      this.readyState = 1;
      this.onopen?.();
    });
    if (!forced) setTimeout(() => this._probe(), RETRY);
  }

  send(text: string): void {
    this._queue.push(text);
    if (!this._busy) void this._post();
  }

  close(code = 1000): void {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this._stream?.close();
    this.onclose?.({ code });
  }

  private async _post(again = false): Promise<void> {
    this._busy = true;
    const body = this._queue.splice(0).join("\n");
    try {
      if (!token) await this._renew();
      const response = await this._fetch(body);
      if (response.status === 403 && !response.headers.has(HEADER) && !again) {
        // The token has changed, by logging in perhaps.
        this._queue.unshift(...body.split("\n"));
        token = "";
        return await this._post(true);
      }
      this._answer(response, await response.text());
    } catch {
      this.close(GONE);
    }
    this._busy = false;
    if (this.readyState === 1 && this._queue.length) void this._post();
  }

  private _fetch(body: string): Promise<Response> {
    const headers: Record<string, string> = { [HEADER]: this._id, "X-CSRFToken": token };
    headers["Content-Type"] = "text/plain;charset=utf-8";
    if (this._streams) headers[`${HEADER}-Stream`] = "1";
    return fetch(url(), { method: "POST", body, headers });
  }

  private async _renew(): Promise<void> {
    const response = await fetch(url(), { headers: { [HEADER]: "" } });
    token = await response.text();
  }

  private _answer({ headers, redirected, url: at }: Response, text: string): void {
    if (!headers.has(HEADER)) {
      // Not an answer of ours: a login page perhaps, or an error of somebody on the way.
      if (redirected) this.onmessage?.({ data: JSON.stringify(["go", at]) });
      this.close(GONE);
      return;
    }
    this._id ||= headers.get(HEADER) ?? "";
    for (const frame of text.split("\n")) if (frame) this.onmessage?.({ data: frame });
    const code = Number(headers.get(`${HEADER}-Close`));
    if (code) this.close(code);
    else if (headers.has(`${HEADER}-More`)) this._queue.push("");
    else if (headers.has(`${HEADER}-Stream`)) this._listen();
  }

  private _listen(): void {
    if (this._stream || this.readyState !== 1 || !("EventSource" in window)) return;
    const stream = new EventSource(`${url()}${location.search ? "&" : "?"}djust-stream=${this._id}`);
    this._stream = stream;
    stream.onmessage = ({ data }) => {
      if (data) this.onmessage?.({ data });
      else if (!this._streams) {
        // It works. The server is told twice: with the second request it knows that the first was answered.
        this._streams = true;
        this.send("");
        setTimeout(() => this.send(""), 100);
      }
    };
    stream.onerror = () => {
      // Perhaps the server is gone: a request finds out.
      this._streams = false;
      this.send("");
    };
  }

  /** Is there a socket by now? Then this connection ends, and the next one is a socket. */
  private _probe(): void {
    if (this.readyState > 1) return;
    const socket = new WebSocket(this._socket);
    socket.onopen = () => {
      socket.close();
      djust.Socket = before;
      this.close(GONE);
    };
    socket.onclose = () => setTimeout(() => this._probe(), RETRY);
  }
}

const url = (): string => location.href.split("#")[0] as string;

djust.Socket = Posts as unknown as typeof WebSocket;
