/**
 * npm run simulate: random histories of pull requests, with everything going wrong that can, against the real reconciler in a simulated world; and
 * whether the world is afterwards what GitHub says. docs/reference/reliability.md has the figures.
 */
import { parseArgs } from 'node:util';
import { FAULT_KINDS, type FaultKind } from '../test/simulation/faults.ts';
import { runSchedules, type SimulationResult } from '../test/simulation/run-schedules.ts';

const USAGE = `npm run simulate -- [--schedules N] [--seed S] [--faults none|all|<kinds>] [--json]

  --schedules N    how many histories (default 1000)
  --seed S         first seed; without it a fresh one, which is printed
  --faults KINDS   none, all (default), or of: ${FAULT_KINDS.join(', ')}, separated by commas
  --fail-fast      stop at the first divergence, and do not shrink it
  --json           the result as one JSON object
  --help           this text

Exit status: 0 when no history diverged, 1 when one did, 2 for a wrong option.`;

function faultsFrom(text: string): FaultKind[] {
  if (text === 'none') return [];
  if (text === 'all') return [...FAULT_KINDS];
  return text.split(',').map((name) => {
    const kind = FAULT_KINDS.find((each) => each === name);
    if (kind === undefined) throw new RangeError(`--faults: "${name}" is none of ${FAULT_KINDS.join(', ')}`);
    return kind;
  });
}

function integerFrom(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new RangeError(`--${name}: "${text}" is not a whole number from ${min} on`);
  return value;
}

function told(result: SimulationResult): string {
  const { crashPoints } = result;
  const lines = [
    `${result.divergences} divergences of ${result.schedules} schedules, ${result.perSecond} schedules a second`,
    `seed ${result.seed}; faults: ${result.faults.join(', ') || 'none'}; crash points covered: ${crashPoints.covered} of ${crashPoints.total}`,
    ...result.failures.flatMap((failure) => ['', `seed ${failure.seed}:`, ...failure.story.map((line) => `  ${line}`)]),
  ];
  return lines.join('\n');
}

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        schedules: { type: 'string', default: '1000' },
        seed: { type: 'string' },
        faults: { type: 'string', default: 'all' },
        'fail-fast': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      return 0;
    }
    const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : integerFrom('seed', values.seed, 0);
    const failFast = values['fail-fast'];
    const result = await runSchedules({
      failFast,
      shrinkFailures: !failFast,
      schedules: integerFrom('schedules', values.schedules, 1),
      seed,
      faults: faultsFrom(values.faults),
    });
    console.log(values.json ? JSON.stringify(result) : told(result));
    return result.divergences === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

process.exitCode = await main();
