#!/usr/bin/env node
// The one file that is not TypeScript: it switches on Node's compile cache, which also keeps what is left of TypeScript without its types. Node can
// only do so for modules that are loaded afterwards, and taking the types away takes 34 ms (npm run bench -- commands).
import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';

if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `[ERROR] Node.js 24 is needed, this is ${process.version}. From a clone: npm run -s preview -- …\n`,
  );
  process.exit(1);
}

// Not the default below /tmp: whoever makes that directory first decides what root runs. $HOME is not asked either, sudo leaves it as it was.
try {
  const directory = join(userInfo().homedir, '.cache', 'berth');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(directory);
  if (uid === process.geteuid() && (mode & 0o022) === 0) enableCompileCache(directory);
} catch {
  // Without a home it is slower, that is all.
}

const { run } = await import('./run.ts');
process.exitCode = await run(process.argv.slice(2));
