/** Counts builds as they happen: an app's setup connects, says who it is, and stays connected for as long as it runs. */
import { createServer, type AddressInfo } from 'node:net';

export interface BuildCounter extends AsyncDisposable {
  /** Files that make the setup of an app be counted; it ends with `status` after `ms`. */
  files(options?: { ms?: number; status?: number }): { 'setup.js': string };
  /** Branches whose setup began, in order. */
  readonly begun: readonly string[];
  /** The most that ever ran at the same time. */
  readonly most: number;
}

/** The process runtime shares the machine's network, so that an app's setup can reach it. */
export async function aBuildCounter(): Promise<BuildCounter> {
  const begun: string[] = [];
  let running = 0;
  let most = 0;
  const server = createServer((socket) => {
    running += 1;
    most = Math.max(most, running);
    socket.setEncoding('utf8');
    socket.once('data', (branch: string) => begun.push(branch));
    socket.on('error', () => undefined).on('close', () => (running -= 1));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    files: ({ ms = 0, status = 0 } = {}) => ({
      'setup.js': `import { connect } from 'node:net';
const socket = connect(${port}, '127.0.0.1', () => socket.write(process.env.PREVIEW_BRANCH));
socket.on('connect', () => setTimeout(() => socket.end(() => process.exit(${status})), ${ms}));
`,
    }),
    begun,
    get most() {
      return most;
    },
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
      }),
  };
}
