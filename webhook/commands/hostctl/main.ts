#!/usr/bin/env node
import { Command } from 'commander';
import { addBackup } from './backup.ts';
import { exitStatus } from './failure.ts';
import { addGc } from './gc.ts';
import { addHarden } from './harden.ts';
import { addMaintain } from './maintain.ts';
import { addPull } from './pull.ts';
import { addRefresh } from './refresh.ts';
import { addRollback } from './rollback.ts';
import { addSoften } from './soften.ts';
import { addStatus } from './status.ts';
import { addSync } from './sync.ts';
import { addUpdate } from './update.ts';
import { addUpgrade } from './upgrade.ts';

const verbs = [
  addStatus,
  addSync,
  addUpdate,
  addUpgrade,
  addPull,
  addRefresh,
  addGc,
  addRollback,
  addHarden,
  addSoften,
  addBackup,
  addMaintain,
];

const program = new Command('hostctl')
  .description('Change and look after this NixOS host from any directory.')
  .option('--json', 'print one JSON document on stdout')
  .option('--dry-run', 'print the commands and change nothing')
  .option('--yes', 'answer the question of a verb that loses something with yes')
  .option('--settings <file>', 'another settings file than /etc/berth/hostctl.json')
  .addHelpText(
    'after',
    '\nExit status: 0 done · 1 failed · 2 wrong usage or settings · 3 refused, nothing touched · 4 applied, but some units failed',
  )
  .exitOverride();

for (const add of verbs) add(program);
for (const command of program.commands.flatMap((verb) => [verb, ...verb.commands])) command.exitOverride();

// A reader that has seen enough (`| head -1`) ends us quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  // Commander has already written its message; help and version end with 0, everything else is wrong usage.
  const { exitCode, message } = error as { exitCode?: number; message: string };
  process.exitCode = exitCode === 0 ? exitStatus.ok : exitStatus.usage;
  if (exitCode !== 0 && process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ status: exitStatus.usage, error: message })}\n`);
  }
}
