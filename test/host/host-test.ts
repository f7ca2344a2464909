/** `test` for what needs a test host: skipped, with the reason, on a machine that cannot carry one; never skipped in CI. */
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { whyNoTestHost } from './requirements.ts';

/**
 * A file of tests inside a host takes up to a minute and a half on a quiet machine, several times that on a busy one; histories that end wrongly are
 * watched for eight minutes, in which they might still come right. Beyond this it hangs.
 */
const timeoutMs = 700_000;

/**
 * Runs `body` when the machine can carry a test host and has the `programs` that this test wants besides. In CI a missing requirement fails the test
 * instead of skipping it.
 */
export function hostTest(name: string, body: () => Promise<void>, programs: readonly string[] = []): void {
  const missing = programs.filter((program) => spawnSync(program, ['--help']).error !== undefined);
  const obstacle =
    whyNoTestHost() ?? (missing.length > 0 ? `needs ${missing.join(', ')} (apt-get install)` : undefined);
  const skip = obstacle !== undefined && process.env['CI'] === undefined ? obstacle : false;
  void test(name, { skip, timeout: timeoutMs }, body);
}
