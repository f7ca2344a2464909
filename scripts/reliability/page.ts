/** docs/reference/reliability.md from what was measured. */
import type { CloseResult } from '../../test/simulation/close-wins.ts';
import type { OrderResult } from '../../test/simulation/delivery-order.ts';
import type { LostDeliveriesResult } from '../../test/simulation/lost-deliveries.ts';
import type { MutationVerdict } from '../../test/simulation/mutation-check.ts';
import type { RealWorldResult } from '../../test/simulation/real-world.ts';
import type { SimulationResult } from '../../test/simulation/run-schedules.ts';
import type { Crowd, Pushes } from '../../test/support/back-pressure.ts';
import type { LifeTimes, Poisoned } from '../../test/support/poisoned-previews.ts';

export interface Measured {
  readonly seed: number;
  /** Of what it was measured on, in words. */
  readonly machine: string;
  readonly faulty: SimulationResult;
  readonly calm: SimulationResult;
  readonly real: RealWorldResult;
  readonly verdicts: readonly MutationVerdict[];
  readonly orders: OrderResult;
  readonly lost: LostDeliveriesResult;
  readonly close: CloseResult;
  readonly pushes: Pushes;
  readonly crowd: Crowd & { readonly places: number };
  /** With one place for work more than the poisoned previews keep, and with none. */
  readonly poisoned: { readonly onePlaceFree: Poisoned; readonly noPlaceFree: Poisoned };
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function worldsTable({ faulty, calm, real }: Measured): string {
  const points = `${faulty.crashPoints.covered} of ${faulty.crashPoints.total}`;
  return table(
    ['world', 'schedules', 'faults', 'divergences', 'schedules a second', 'crash points'],
    [
      ['simulated', faulty.schedules, 'all', faulty.divergences, faulty.perSecond, points],
      ['simulated', calm.schedules, 'none', calm.divergences, calm.perSecond, '–'],
      ['real', real.schedules, real.faults.join(', '), real.divergences, real.perSecond, 'any instant'],
    ],
  );
}

function livesTable({ onePlaceFree, noPlaceFree }: Measured['poisoned']): string {
  const row = (name: string, lives: readonly LifeTimes[]) =>
    [name, ...(['create', 'update', 'close'] as const).map((part) => span(lives.map((life) => life[part])))] as const;
  return table(
    ['healthy previews', 'opened → live', 'pushed → live', 'closed → gone'],
    [
      row('alone', [onePlaceFree.alone, noPlaceFree.alone]),
      row('beside them, one place free', onePlaceFree.beside),
      row('beside them, no place free', noPlaceFree.beside),
    ],
  );
}

function span(times: readonly number[]): string {
  const [low, high] = [Math.min(...times), Math.max(...times)].map(seconds);
  return low === high ? `${low}` : `${low} to ${high}`;
}

export function pageOf(measured: Measured): string {
  return [convergence(measured), promises(measured), backPressure(measured)].join('\n');
}

function convergence(measured: Measured): string {
  const { seed, machine, faulty, real, verdicts } = measured;
  const { kill, stop, beside, two } = real.interventions;
  return `# Reliability

Written by \`npm run reliability\`, which runs all of it; the real histories may come from a run before (\`npm run simulate -- --world real --schedules
200 --json > real.json\`, then \`npm run reliability -- --real real.json\`). Seed ${seed}; ${machine}. Times are of that machine, with whatever
else it did.

| | promise | tests besides this page |
| --- | --- | --- |
| R1 | what was answered 202 is never lost | \`test/integration/durability.test.ts\`, \`npm run bench -- durability\` |
| R2 | after any history, crashes included, the world is what GitHub says | |
| R3 | a delivery that comes several times counts once | \`test/integration/webhook/http-request.test.ts\` |
| R4 | the order of deliveries does not matter | |
| R5 | what was missed is found without anybody’s doing | \`test/integration/sweep.test.ts\` |
| R6 | a close wins, whatever goes on | |
| R7 | each step may be run twice and be killed anywhere | \`test/integration/operator-killed.test.ts\` |
| R8 | no preview holds up another | \`test/host/inside/poisons.ts\`, \`test/integration/poisoned-previews.test.ts\` |
| R9 | names, slots, addresses and databases belong to one preview, and running out of them is refused in words | \`test/unit/core/names.test.ts\`, \`test/contracts/store-names.contract.ts\` |
| R10 | a preview that was closed leaves nothing | \`test/host/inside/nothing-left.ts\`, \`npm run bench -- cycles\` |
| R11 | an operator that stops or dies interrupts no preview | \`test/host/inside/updates.ts\`, \`npm run bench -- updates\` |
| R12 | work is bounded, and a burst is one piece of work | \`test/integration/back-pressure.test.ts\` |
| R13 | whatever the operator needs may go and come | \`test/integration/operator-lifecycle.test.ts\` |
| R14 | \`live\` is said of what was seen to answer, at the right commit | \`test/unit/core/preview.test.ts\` |

## The world converges (R1, R2, R3, R7)

Random histories of several repositories and pull requests: opened, pushed to, closed, reopened, drafts, strangers, renames, transfers, an allow-list that
changes, manifests broken and mended. In the simulated world people also destroy, roll back, update and push back to an earlier head; operators die before,
inside and after every operation, deliveries are lost,
repeated and swapped, GitHub fails or answers with old news, host and database fail in the middle. Half of the histories run without
sweeps: then the deliveries alone have to do it. A divergence is any difference between the world at rest and what GitHub says.

${worldsTable(measured)}

The simulated world runs the real reconciler, planner, policy and jobs on a virtual clock; GitHub, host and state are simulated, and a contract suite
(\`test/contracts\`) holds the simulated state against PostgreSQL and graphile-worker. In the real world only GitHub is a stand-in: PostgreSQL, git, processes and the
gateway are real. There the operator was killed with \`kill -9\` ${kill + two} times and stopped ${stop} times, with previews coming up; ${two} times two were
started at the same instant afterwards, ${beside} times one beside the one that ran, and anything but one that works and one that is refused counts as a divergence. In the end everything is closed, and what is
left then counts too.

    npm run simulate -- --schedules ${faulty.schedules} --faults all --json
    npm run simulate -- --world real --schedules ${real.schedules} --seed ${real.seed} --json

The same histories on the stack of a NixOS host (\`npm run simulate -- --world host\`), where hostd is killed too: [what they leave](container-runtime-figures.md#what-histories-leave).

\`npm test\` plays 2,000 simulated and 4 real histories with a fresh seed each time, and every history that once went wrong (\`test/scenarios\`).

## Deliberate bugs

Each is one small change of the real source; the simulator has 500 schedules to find it.

${table(
  ['bug', 'found', 'as'],
  verdicts.map((verdict) => [verdict.name, verdict.isFound ? 'yes' : '**no**', verdict.divergence]),
)}
`;
}

function promises({ orders, lost, close }: Measured): string {
  return `## Order does not matter (R4)

Every order of the deliveries of histories of up to five events.

${table(['histories', 'orders tried', 'histories with more than one end state, or a wrong one'], [[orders.histories, orders.permutations, orders.wrong.length]])}

## The sweep alone (R5)

${table(
  ['histories', 'deliveries lost', 'not converged', 'staleness p50', 'staleness max', 'sweep each'],
  [
    [
      lost.histories,
      'all',
      lost.notConverged.length,
      seconds(lost.stalenessMs.p50),
      seconds(lost.stalenessMs.max),
      seconds(lost.sweepIntervalMs),
    ],
  ],
)}

## Close wins (R6)

A close at every boundary of every operation of a bring-up and an update, and at twenty random moments after each. Times are virtual, with operations
of up to 40 ms and a setup of up to 4 s.

${table(['boundaries', 'runs', 'leftovers', 'close to gone p50', 'p99'], [[close.boundaries, close.runs, close.leftovers.length, seconds(close.goneMs.p50), seconds(close.goneMs.p99)]])}
`;
}

function backPressure({ pushes, crowd, poisoned }: Measured): string {
  const inAll = crowd.pulls - crowd.large;
  return `## Too much at once (R12)

On the real service, through its door.

${table(
  ['what', 'builds', 'most at the same time', 'operator’s memory, at its highest', 'took'],
  [
    [`${pushes.pushes} pushes to one pull request in ${seconds(pushes.tookMs)}`, pushes.builds, '–', '–', '–'],
    [
      `${crowd.pulls} pull requests delivered at once, ${crowd.places} places for work`,
      crowd.builds,
      crowd.most,
      crowd.memoryPeakMiB === null ? '–' : `${crowd.memoryPeakMiB} MiB`,
      seconds(crowd.tookMs),
    ],
  ],
)}

Repositories take turns. ${crowd.large} of the ${crowd.pulls} pull requests were of one repository and delivered first, ${inAll} were of two others: when all were delivered,
${crowd.aheadOfAll} builds had begun, and the last of the ${inAll} was number ${crowd.lastOfSmall} of all.

The operator’s memory is the largest resident set that the kernel saw (\`VmHWM\` of \`/proc/<pid>/status\`), of the process itself: git and apps are others. The ceiling is
512 MiB, which a test with forty pull requests asserts too; on NixOS the unit is held to 2 GiB with all that it starts (\`memoryMax\`).

## Poisoned previews (R8)

${poisoned.noPlaceFree.poisons.length} at the same time: ${poisoned.noPlaceFree.poisons.join(', ')}. All but the last keep a place for work. Beside them ${poisoned.noPlaceFree.beside.length} healthy previews are opened, pushed to and
closed at once, and one that runs all along is asked ${poisoned.noPlaceFree.requests} times: ${poisoned.noPlaceFree.failed.length} requests failed.

${livesTable(poisoned)}

When as many previews hang as there are places (\`limits.concurrency\`), the next one waits until the first of them has been worked on for half a minute: from then on
one more is worked on for each that takes long, at most as many again and at most four. Beyond that, others wait for the timeouts in the manifests.
`;
}
