/** Second half of the reboot test: the host is up again, GitHub is not. */
import assert from 'node:assert/strict';
import { startHostd, host } from './a-host-runtime.ts';
import { askCaddy, shows, startOperator } from './an-operator.ts';

assert.equal((await askCaddy('shop-1.preview.test')).status, 503, 'before the operator is up there is the page');
startHostd();
startOperator();
await shows('shop-1.preview.test', 'version 1');
assert.match((await askCaddy('shop-1.preview.test', '/visits')).text, /^1/, 'the setup did not run again');
assert.match(
  host('findmnt', '--noheadings', '--list', '--types=ext4', '--output=TARGET'),
  /^\/var\/lib\/nixos-containers\/p\d+$/m,
  'with its disk',
);
assert.equal(
  host('systemctl', 'show', 'nix-daemon', '--property=ActiveEnterTimestamp', '--value'),
  '',
  'nothing was built',
);
process.exit(0);
