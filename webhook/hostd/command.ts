/** A command inside a running guest: a unit of the guest's own systemd, so that it has the container's limits and filters and none of ours. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { OperatorError } from '../core/errors.ts';
import { commandInputSchema, type CommandInside, type HostRequest } from '../core/host-verbs.ts';
import { endGroup, run, start, type Argv } from './programs.ts';
import type { Caller } from './server.ts';

type RunInside = Extract<HostRequest, { verb: 'run-inside' }>;

/** Returns its status, 0 to 255. It is ended when the caller goes away. Throws PREVIEW_NOT_RUNNING. */
export async function runInside(request: RunInside, caller: Caller): Promise<{ status: number }> {
  const active = await run(['systemctl', 'is-active', '--quiet', `container@${request.name}.service`]);
  if (active.status !== 0) throw new OperatorError('PREVIEW_NOT_RUNNING', 'The container of the preview does not run.');
  caller.signal.throwIfAborted();
  const unit = `berth-command-${randomUUID()}.service`;
  const child = start(commandLine(request, unit), { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error('systemd-run has no pipes');
  // The unit itself holds the pipes, and outlives systemd-run. A guest that cannot be asked is on its way out, and its units with it.
  const stop = () => void run(['systemctl', '-M', request.name, 'stop', unit]).catch(() => undefined);
  const end = () => {
    stop();
    // Again, for a unit that systemd-run was just about to start.
    child.once('exit', stop);
    endGroup(child);
  };
  caller.signal.addEventListener('abort', end);
  // A command need not read what is typed.
  stdin.on('error', () => undefined);
  void typed(stdin, caller.lines).catch(end);
  try {
    const [[status]] = await Promise.all([
      once(child, 'close') as Promise<[number | null]>,
      printed(stdout, 'stdout', caller),
      printed(stderr, 'stderr', caller),
    ]);
    caller.signal.throwIfAborted();
    return { status: status ?? 255 };
  } finally {
    caller.signal.removeEventListener('abort', end);
  }
}

function commandLine({ name, command }: RunInside, unit: string): Argv {
  const user = command.asRoot
    ? ['--uid=root', '--property=WorkingDirectory=/root']
    : [
        '--uid=preview',
        '--gid=preview',
        '--property=WorkingDirectory=/home/preview/app',
        '--property=NoNewPrivileges=yes',
        '--setenv=HOME=/home/preview',
      ];
  return [
    'systemd-run',
    '-M',
    name,
    '--quiet',
    '--wait',
    '--collect',
    `--unit=${unit}`,
    '--property=EnvironmentFile=-/etc/preview.env',
    '--setenv=TERM=xterm-256color',
    '--service-type=exec',
    '--pipe',
    ...user,
    '--',
    // systemd would put the value of a variable in place of its name.
    ...insideWords(command).map((word) => word.replaceAll('$', '$$$$')),
  ];
}

/** By a login shell, because only the guest knows where its programs are; it is given words, never a line. */
function insideWords(command: CommandInside): string[] {
  const words = ['/bin/sh', '-lc', 'exec "$@"', 'sh'];
  if ('argv' in command) return [...words, ...command.argv];
  if (command.shell === null) return [...words, '/bin/sh'];
  // The terminal is the guest's own (script(1) of util-linux): systemd-run's needs one at our end too.
  const { columns, rows } = command.shell;
  const sized = `stty columns ${columns} rows ${rows}; exec /bin/sh -i`;
  return [...words, 'script', '--quiet', '--return', '--command', sized, '/dev/null'];
}

async function typed(stdin: Writable, lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) {
    const { input } = commandInputSchema.parse(JSON.parse(line));
    if (input === null) break;
    if (!stdin.write(Buffer.from(input, 'base64'))) await Promise.race([once(stdin, 'drain'), once(stdin, 'close')]);
  }
  stdin.end();
  // Read on, so that the end of the connection is noticed.
  for await (const _ of lines);
}

async function printed(from: Readable, stream: 'stdout' | 'stderr', caller: Caller): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>)
    await caller.send(JSON.stringify({ stream, data: chunk.toString('base64') }));
}
