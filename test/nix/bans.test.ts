import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { golden } from './golden.ts';

/** The webhook's jail, read by the real fail2ban-regex over lines as Caddy writes them. */
const program = process.env['FAIL2BAN_REGEX'] ?? 'fail2ban-regex';
const skip = spawnSync(program, ['--version']).status === 0 ? false : 'needs fail2ban-regex (apt-get install fail2ban)';

interface Answered {
  clientIp: string;
  status: number;
  uri?: string;
  userAgent?: string;
}

/** One line of Caddy 2.11's JSON access log. */
function logLine({ clientIp, status, uri = '/webhook/github', userAgent = 'GitHub-Hookshot/1' }: Answered): string {
  return JSON.stringify({
    level: 'info',
    ts: 1795179726.6188645,
    logger: 'http.log.access.log0',
    msg: 'handled request',
    request: {
      remote_ip: '203.0.113.9',
      remote_port: '51514',
      client_ip: clientIp,
      proto: 'HTTP/2.0',
      method: 'POST',
      host: 'hooks.example.com',
      uri,
      headers: { 'User-Agent': [userAgent] },
    },
    bytes_read: 2,
    duration: 0.001,
    size: 29,
    status,
    resp_headers: {},
  });
}

/** Addresses that the filter would count a failure of. */
function countedIn(lines: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bans-'));
  try {
    writeFileSync(join(folder, 'filter.conf'), golden('fail2ban/berth-webhook.conf'));
    writeFileSync(join(folder, 'webhook.log'), `${lines.join('\n')}\n`);
    const ran = spawnSync(program, ['--out', 'ip', join(folder, 'webhook.log'), join(folder, 'filter.conf')], {
      encoding: 'utf8',
    });
    assert.equal(ran.status, 0, ran.stderr);
    return ran.stdout.split('\n').filter((line) => line !== '');
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('a refused signature counts against the sender, also behind a proxy', { skip }, () => {
  assert.deepEqual(countedIn([logLine({ clientIp: '198.51.100.7', status: 401 })]), ['198.51.100.7']);
});

test('an accepted delivery and other paths count against nobody', { skip }, () => {
  const lines = [
    logLine({ clientIp: '198.51.100.7', status: 202 }),
    logLine({ clientIp: '198.51.100.7', status: 401, uri: '/' }),
    logLine({ clientIp: '198.51.100.7', status: 404 }),
  ];
  assert.deepEqual(countedIn(lines), []);
});

test('a sender can put no other address into its own line', { skip }, () => {
  const userAgent = '","client_ip":"192.0.2.1","uri":"/webhook/github","status":401';
  assert.deepEqual(countedIn([logLine({ clientIp: '198.51.100.7', status: 202, userAgent })]), []);
  assert.deepEqual(countedIn([logLine({ clientIp: '198.51.100.7', status: 401, userAgent })]), ['198.51.100.7']);
});
