import { lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { HostSettings } from './settings.ts';

export interface Generation {
  readonly number: number;
  readonly system: string;
  /** When the generation was made: the time of its link itself, in milliseconds. */
  readonly madeAtMs: number;
  readonly current: boolean;
}

/** The generations of the system profile, oldest first; `current` is the one that boots next. */
export function listGenerations(settings: HostSettings): Generation[] {
  const name = basename(settings.systemProfile);
  const folder = dirname(settings.systemProfile);
  const current = readLink(settings.systemProfile);
  return readdirSync(folder)
    .map((entry) => ({ entry, match: /^(.+)-([0-9]+)-link$/.exec(entry) }))
    .filter(({ match }) => match?.[1] === name)
    .map(({ entry, match }) => ({
      number: Number(match?.[2]),
      system: readLink(join(folder, entry)) ?? '',
      madeAtMs: lstatSync(join(folder, entry)).mtimeMs,
      current: basename(current ?? '') === entry,
    }))
    .sort((a, b) => a.number - b.number);
}

/** Where a link leads in the end, or undefined when it is not there: a fresh host has no profile yet. */
export function resolvedSystem(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
