/**
 * What a supervisor does until it has an instance to keep: it reads the operator's lines on its input. A setup is run and answered with one line on
 * descriptor 3, and it stands by again; the path of a run.json ends the waiting. Setups run here and not in the operator because Node, to start a
 * program, copies the page tables of the whole process: 10 to 30 ms in which a large operator does nothing else.
 */
import { read } from 'node:fs';
import { Socket } from 'node:net';
import { launched } from './launch.ts';
import { runSetup, type SetupEnd, type SetupWork } from './setup-run.ts';

/** A line of the operator, as JSON. */
export type Assignment = { readonly setup: SetupWork } | { readonly run: string };

/** The path of the run.json to keep running; null when the operator has gone, or has no use for us. A setup that runs then is ended first. */
export async function runPathFromOperator(): Promise<string | null> {
  startNothing();
  for (let line = nextLine(); ; ) {
    const assigned = await line;
    if (assigned === null) return null;
    if ('run' in assigned) return assigned.run;
    line = nextLine();
    const end = await runUnlessUnwanted(assigned.setup, line);
    if (end.kind === 'aborted') return null;
    await tellOperator(JSON.stringify(end));
  }
}

/** Not a write by hand: the last lines of a setup may be more than the pipe takes at once. */
const operator = new Socket({ fd: 3, readable: false, writable: true }).on('error', () => undefined);

/** One line. It may have gone in the meantime: then nobody hears it, and the next one finds what there is by itself. */
function tellOperator(line: string): Promise<void> {
  return new Promise((resolve) => operator.write(`${line}\n`, () => resolve()));
}

/** The last line, before an instance is kept: from here on the operator may come and go. */
export async function tellOperatorLast(line: string): Promise<void> {
  await tellOperator(line);
  operator.destroy();
}

/** Node loads what it takes to start a program when it first starts one: 12 ms, on a core that has nothing else to do, that no preview need wait for. */
function startNothing(): void {
  const child = launched({ argv: ['true'], cwd: '/', env: {}, uid: null, isSandbox: false });
  child.once('error', () => undefined);
  for (const output of [child.stdout, child.stderr]) output.resume();
}

/**
 * A setup that is not needed any more, or whose operator has gone, is ended: the input ends then. Not by a signal, because we could not go: Node waits for a
 * read that is under way.
 */
async function runUnlessUnwanted(setup: SetupWork, next: Promise<Assignment | null>): Promise<SetupEnd> {
  const unwanted = new AbortController();
  void next.then((assigned) => assigned ?? unwanted.abort());
  return runSetup(setup, unwanted.signal);
}

let unread = Buffer.alloc(0);

/** Null at the end of the input. */
async function nextLine(): Promise<Assignment | null> {
  for (;;) {
    const end = unread.indexOf('\n');
    if (end !== -1) {
      const line = unread.toString('utf8', 0, end);
      unread = unread.subarray(end + 1);
      return JSON.parse(line) as Assignment;
    }
    const more = await someBytes();
    if (more.length === 0) return null;
    unread = Buffer.concat([unread, more]);
  }
}

/** None at the end of the input. */
function someBytes(): Promise<Buffer> {
  const bytes = Buffer.alloc(65_536);
  return new Promise((resolve) => {
    read(0, bytes, 0, bytes.length, null, (error, length) => resolve(bytes.subarray(0, error === null ? length : 0)));
  });
}
