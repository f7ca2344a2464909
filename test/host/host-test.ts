/** `test` for what needs a test host: skipped, with the reason, on a machine that cannot carry one; never skipped in CI. */
import { test } from 'node:test';
import { whyNoTestHost } from './requirements.ts';

/** A file of tests inside a host takes up to a minute and a half on a quiet machine, several times that on a busy one; beyond this it hangs. */
const timeoutMs = 400_000;

/** Runs `body` when the machine can carry a test host. In CI a missing requirement fails the test instead of skipping it. */
export function hostTest(name: string, body: () => Promise<void>): void {
  const obstacle = whyNoTestHost();
  const skip = obstacle !== undefined && process.env['CI'] === undefined ? obstacle : false;
  void test(name, { skip, timeout: timeoutMs }, body);
}
