import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a condition, asked every few milliseconds. Fails with what was waited for, as it is then, when it does not come true in time. */
export async function waitUntil(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited ${timeoutMs} ms in vain: ${typeof what === 'string' ? what : what()}`);
    await delay(5);
  }
}
