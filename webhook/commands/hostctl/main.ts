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

try {
  await program.parseAsync();
} catch (error) {
  // Commander has already written its message; help and version end with 0, everything else is wrong usage.
  process.exitCode = (error as { exitCode?: number }).exitCode === 0 ? exitStatus.ok : exitStatus.usage;
}
