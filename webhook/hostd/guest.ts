/**
 * What is done inside a running guest, always by the guest's own systemd over its bus, never with nsenter: a process that hostd put inside
 * would lack the guest's limits, its system-call filter and its bar on new privileges.
 */
import { readFile } from 'node:fs/promises';
import type { HostRequest } from '../core/host-verbs.ts';
import type { InstanceName } from '../core/names.ts';
import { unitsFromConf } from './definition.ts';
import { eachLine, run, type Argv } from './programs.ts';
import { hasLink } from './states.ts';
import { placeOf, type HostSettings } from './settings.ts';

type StartUnit = Extract<HostRequest, { verb: 'start-unit' }>;
type ReadJournal = Extract<HostRequest, { verb: 'read-journal' }>;

/** The longest setup that a manifest may ask for is an hour; the caller's own limit comes first. */
const unitTimeoutMs = 61 * 60_000;

/** The app's units in this container, by its conf file, which is the host's. */
async function unitsOf(settings: HostSettings, name: InstanceName): Promise<ReturnType<typeof unitsFromConf>> {
  return unitsFromConf(await readFile(placeOf(settings, name).conf, 'utf8').catch(() => ''));
}

/** Starts a unit and waits for its job; null when no guest runs. When the caller goes away the unit is ended. */
export async function startUnit(
  settings: HostSettings,
  request: StartUnit,
  signal: AbortSignal,
): Promise<{ ok: boolean } | null> {
  if (!(await hasLink(placeOf(settings, request.name)))) return null;
  const { setup } = await unitsOf(settings, request.name);
  const unit = request.unit === 'setup-preview.service' ? setup : request.unit;
  try {
    const started = await run(['systemctl', '-M', request.name, 'start', unit], {
      signal,
      timeoutMs: unitTimeoutMs,
    });
    return { ok: started.status === 0 };
  } catch (error) {
    await run(['systemctl', '-M', request.name, 'stop', unit]);
    throw error;
  }
}

interface JournalReader {
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  /** Makes sure that the files of a container that is stopped are there to be read; false when there are none. */
  readonly openFiles: () => Promise<boolean>;
}

/** A line of the journal as JSON; longer ones are cut by the reader, so they need not come whole. */
const lineMaxLength = 64 * 1024;

/**
 * The app's lines as JSON objects of journalctl. In a running guest it runs inside. The files of one that is stopped are read as the guest's own root,
 * which is nobody on the host: whatever they are links to, it may read no more than the guest could.
 */
export async function readJournal(
  settings: HostSettings,
  request: ReadJournal,
  { signal, onLine, openFiles }: JournalReader,
): Promise<null> {
  const units = await unitsOf(settings, request.name);
  const query = [
    ...[units.setup, ...units.apps].map((unit) => `--unit=${unit}`),
    `--lines=${request.tailLines}`,
    '--output=json',
    '--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT',
    '--no-pager',
  ];
  const place = placeOf(settings, request.name);
  const active = await run(['systemctl', 'is-active', '--quiet', place.unit]);
  const reader =
    active.status === 0
      ? { argv: insideReader(place.name, request.follow ? [...query, '--follow'] : query) }
      : // The folder is entered as root, where only root may; the path below it is the guest's.
        {
          argv: ['journalctl', '--directory=var/log/journal', ...query] as const,
          cwd: place.root,
          uid: place.uid,
          gid: place.uid,
        };
  if (active.status !== 0 && !(await openFiles())) return null;
  await eachLine(reader, signal, (line) => {
    if (line.length <= lineMaxLength) onLine(line);
  });
  return null;
}

/** By a login shell, because only the guest knows where its programs are. */
function insideReader(name: InstanceName, query: readonly string[]): Argv {
  const inside = ['/bin/sh', '-lc', 'exec journalctl "$@"', 'sh', ...query];
  return ['systemd-run', '-M', name, '--quiet', '--pipe', '--wait', '--collect', '--', ...inside];
}
