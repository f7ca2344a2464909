/**
 * npm run simulate: random histories of pull requests, with everything going wrong that can, against the real reconciler in a simulated world; and
 * whether the world is afterwards what GitHub says. docs/reference/reliability.md has the figures.
 */
import { parseArgs } from 'node:util';
import { FAULT_KINDS, REAL_FAULT_KINDS } from '../test/simulation/faults.ts';
import type { RealWorldResult } from '../test/simulation/real-world.ts';
import { runSchedules, type SimulationResult } from '../test/simulation/run-schedules.ts';

const USAGE = `npm run simulate -- [--world simulated|real|host] [--schedules N] [--seed S] [--faults none|all|<kinds>] [--json]

  --world real     against the real thing: PostgreSQL, git, processes, the gateway, kill -9 of the operator; only GitHub is a stand-in
  --world host     against the stack of a NixOS host, on test hosts of this machine (needs root): containers, hostd, Caddy, PostgreSQL, nftables, Nix
  --schedules N    how many histories (default 1000; 20 in the real world and on a host)
  --seed S         first seed; without it a fresh one, which is printed
  --faults KINDS   none, all (default), or of: ${FAULT_KINDS.join(', ')}, separated by commas;
                   in the real world and on a host of: ${REAL_FAULT_KINDS.join(', ')}
  --fail-fast      stop at the first divergence, and do not shrink it
  --json           the result as one JSON object
  --help           this text

Exit status: 0 when no history diverged, 1 when one did, 2 for a wrong option.`;

function faultsFrom<Kind extends string>(text: string, kinds: readonly Kind[]): Kind[] {
  if (text === 'none') return [];
  if (text === 'all') return [...kinds];
  return text.split(',').map((name) => {
    const kind = kinds.find((each) => each === name);
    if (kind === undefined) throw new RangeError(`--faults: "${name}" is none of ${kinds.join(', ')}`);
    return kind;
  });
}

function integerFrom(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new RangeError(`--${name}: "${text}" is not a whole number from ${min} on`);
  return value;
}

function told(result: SimulationResult | RealWorldResult): string {
  const covered =
    'crashPoints' in result
      ? `; crash points covered: ${result.crashPoints.covered} of ${result.crashPoints.total}`
      : '';
  const lines = [
    `${result.divergences} divergences of ${result.schedules} schedules, ${result.perSecond} schedules a second`,
    `seed ${result.seed}; faults: ${result.faults.join(', ') || 'none'}${covered}`,
    ...result.failures.flatMap((failure) => ['', `seed ${failure.seed}:`, ...failure.story.map((line) => `  ${line}`)]),
  ];
  return lines.join('\n');
}

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        world: { type: 'string', default: 'simulated' },
        schedules: { type: 'string' },
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
    const { world, faults, 'fail-fast': failFast } = values;
    if (world !== 'simulated' && world !== 'real' && world !== 'host')
      throw new RangeError(`--world: "${world}" is neither simulated nor real nor host`);
    const schedules = integerFrom('schedules', values.schedules ?? (world === 'simulated' ? '1000' : '20'), 1);
    const result =
      world !== 'simulated'
        ? await (await import('../test/simulation/real-world.ts')).playRealWorld({
            world,
            schedules,
            seed,
            faults: faultsFrom(faults, REAL_FAULT_KINDS),
            onProgress: (line) => console.error(line),
          })
        : await runSchedules({
            schedules,
            seed,
            failFast,
            shrinkFailures: !failFast,
            faults: faultsFrom(faults, FAULT_KINDS),
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
