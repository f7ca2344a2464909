/** A file of test/host/inside at its full length, on a test host of its own: what it measures, it prints as `<subject>: {…}`. */
import { join, resolve } from 'node:path';
import { bringUpTestHost } from '../../../test/host/test-host.ts';

const folder = resolve(import.meta.dirname, '../../../test/host/inside');

/** What the file printed, by subject. Throws with the end of its output when a test failed. */
export async function measuredInside<T>(file: string, env: Record<string, string>): Promise<Map<string, T>> {
  await using host = await bringUpTestHost();
  const run = await host.run(['node', '--test', '--test-reporter=spec', join(folder, file)], {
    cwd: '/tmp',
    env,
    reject: false,
  });
  if (run.exitCode !== 0) throw new Error(run.stdout.slice(-8_000));
  const measured = run.stdout.split('\n').flatMap((line): [string, T][] => {
    const [, subject, json] = /^([a-z ]+): (\{.*\})$/.exec(line) ?? [];
    return subject === undefined || json === undefined ? [] : [[subject, JSON.parse(json) as T]];
  });
  return new Map(measured);
}
