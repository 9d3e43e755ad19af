// A page in Chromium without a window, by its DevTools protocol: what a test needs of it, and what the page did that it should not.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What is on the path, under the names that distributions give it. */
export const chromiumProgram = (): string | undefined =>
  ['chromium-headless-shell', 'chromium', 'chromium-browser'].find(
    (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );

interface Said {
  readonly id?: number;
  readonly method?: string;
  readonly params?: any;
  readonly result?: any;
  readonly error?: { readonly message: string };
}

export interface BrowserPage {
  /** Addresses that were asked for. */
  readonly requests: readonly string[];
  /** Errors of scripts, what the policy has refused, dialogs. */
  readonly faults: readonly string[];
  open(url: string): Promise<void>;
  /** The value of an expression within the page. */
  read(expression: string): Promise<any>;
  /** As a person does: into what has the focus. */
  type(text: string): Promise<void>;
  close(): Promise<void>;
}

export async function openBrowser(): Promise<BrowserPage> {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-chromium-'));
  const words = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--remote-debugging-port=0',
    `--user-data-dir=${folder}`,
  ];
  const process = spawn(chromiumProgram()!, [...words, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => process.once('exit', () => resolve()));
  const socket = new WebSocket(await addressIn(process.stderr));
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('Chromium took no connection')), { once: true });
  });
  const page = new Page(socket);
  await page.attach();
  return Object.assign(page, {
    close: async () => {
      process.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  });
}

async function addressIn(stderr: NodeJS.ReadableStream): Promise<string> {
  const said: string[] = [];
  for await (const line of createInterface({ input: stderr })) {
    const address = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
    if (address !== undefined) {
      stderr.resume();
      return address;
    }
    said.push(line);
  }
  throw new Error(`Chromium has ended: ${said.join('\n')}`);
}

class Page {
  readonly requests: string[] = [];
  readonly faults: string[] = [];
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, (said: Said) => void>();
  private session: string | undefined;
  private count = 0;
  private loaded = (): void => {};

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => this.heard(JSON.parse(String(data)) as Said));
  }

  async attach(): Promise<void> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    this.session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await this.send(`${domain}.enable`);
  }

  async open(url: string): Promise<void> {
    const isLoaded = new Promise<void>((resolve) => (this.loaded = resolve));
    await this.send('Page.navigate', { url });
    await isLoaded;
  }

  async read(expression: string): Promise<any> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  /** Into the first field of the page. It may have asked for the focus, and gets that when it is drawn first: not yet, perhaps. */
  async type(text: string): Promise<void> {
    await this.read("document.querySelector('input').focus()");
    await this.send('Input.insertText', { text });
  }

  private async send(method: string, params: object = {}): Promise<any> {
    const id = ++this.count;
    const { result, error } = await new Promise<Said>((resolve) => {
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ id, method, params, sessionId: this.session }));
    });
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  private heard({ id, method, params, ...said }: Said): void {
    if (id !== undefined) {
      this.waiting.get(id)?.(said);
      this.waiting.delete(id);
    } else if (method === 'Page.loadEventFired') this.loaded();
    else if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
    else if (method === 'Runtime.exceptionThrown') this.faults.push(params.exceptionDetails.exception?.description);
    else if (method === 'Log.entryAdded') {
      // Other levels are advice, as that a fragment of the address goes before autofocus.
      if (params.entry.level === 'error') this.faults.push(params.entry.text);
    } else if (method === 'Runtime.consoleAPICalled') this.faults.push(`console.${params.type}`);
    else if (method === 'Page.javascriptDialogOpening') this.faults.push(`dialog: ${params.message}`);
  }
}
