/**
 * What a supervisor does until it has an instance to keep: it reads the operator's lines on its input. A setup is run and answered with one line on
 * descriptor 3, and it stands by again; the path of a run.json ends the waiting. Setups run here and not in the operator because Node, to start a
 * program, copies the page tables of the whole process: 10 to 30 ms in which a large operator does nothing else.
 */
import { Socket } from 'node:net';
import { launched } from './launch.ts';
import { runSetup, type SetupEnd, type SetupWork } from './setup-run.ts';

/** A line of the operator, as JSON. */
export type Assignment = { readonly setup: SetupWork } | { readonly run: string };

// Sockets, and not reads and writes by hand: a line may be more than the pipe takes at once, and Node does not exit while a read by hand waits.
const fromOperator = new Socket({ fd: 0, readable: true, writable: false });
const toOperator = new Socket({ fd: 3, readable: false, writable: true }).on('error', () => undefined);

/** The path of the run.json to keep running; null when the operator has gone, or has no use for us. A setup that runs then is ended first. */
export async function runPathFromOperator(): Promise<string | null> {
  startNothing();
  const assignments = assignmentsOf(fromOperator);
  for (let coming = assignments.next(); ; ) {
    const { value: assigned } = await coming;
    if (assigned === undefined) return null;
    if ('run' in assigned) {
      fromOperator.destroy();
      return assigned.run;
    }
    coming = assignments.next();
    const end = await runUnlessUnwanted(assigned.setup, coming);
    if (end === null) return null;
    await tellOperator(JSON.stringify(end));
  }
}

/** Its last line, before an instance is kept: from here on the operator may come and go. */
export async function tellOperatorLast(line: string): Promise<void> {
  await tellOperator(line);
  toOperator.destroy();
}

/** It may have gone in the meantime: then nobody hears it, and the next one finds what there is by itself. */
function tellOperator(line: string): Promise<void> {
  return new Promise((resolve) => toOperator.write(`${line}\n`, () => resolve()));
}

/** Node loads what it takes to start a program when it first starts one: 12 ms, on a core that has nothing else to do, that no preview need wait for. */
function startNothing(): void {
  const child = launched({ argv: ['true'], cwd: '/', env: {}, uid: null, isSandbox: false });
  child.once('error', () => undefined);
  for (const output of [child.stdout, child.stderr]) output.resume();
}

/** A setup that is not needed any more, or whose operator has gone, is ended: then nothing comes, because our input ends. */
async function runUnlessUnwanted(
  setup: SetupWork,
  coming: Promise<IteratorResult<Assignment>>,
): Promise<SetupEnd | null> {
  const unwanted = new AbortController();
  void coming.then(({ done }) => (done === true ? unwanted.abort() : undefined));
  return runSetup(setup, unwanted.signal);
}

async function* assignmentsOf(input: Socket): AsyncGenerator<Assignment, undefined> {
  let unread = '';
  for await (const chunk of input.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (unread + chunk).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as Assignment;
  }
}
