/** A WebSocket that tests hold the other end of. */
export class FakeSocket {
  static readonly OPEN = 1;
  static readonly CONNECTING = 0;
  static all: FakeSocket[] = [];

  readyState = 0;
  sent: unknown[][] = [];
  onopen = (): void => {};
  onmessage = (_: { data: string }): void => {};
  onclose = (_: { code: number }): void => {};

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    return FakeSocket.all[FakeSocket.all.length - 1] as FakeSocket;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  // The server's side

  open(): void {
    this.readyState = 1;
    this.onopen();
  }

  receive(...frame: unknown[]): void {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  lose(code = 1006): void {
    this.readyState = 3;
    this.onclose({ code });
  }

  /** What was sent since the last call. */
  take(): unknown[][] {
    return this.sent.splice(0);
  }
}
