/** `test` for what needs a test host: skipped, with the reason, on a machine that cannot carry one; never skipped in CI. */
import { test } from 'node:test';
import { whyNoTestHost } from './requirements.ts';

/** A test on a busy machine boots several hosts; a test that takes longer hangs. */
const timeoutMs = 180_000;

/** Runs `body` when the machine can carry a test host. In CI a missing requirement fails the test instead of skipping it. */
export function hostTest(name: string, body: () => Promise<void>): void {
  const obstacle = whyNoTestHost();
  const skip = obstacle !== undefined && process.env['CI'] === undefined ? obstacle : false;
  void test(name, { skip, timeout: timeoutMs }, body);
}
