/** What all operator processes of one simulated world share. */
import type { Sha } from '../../webhook/core/pull-request.ts';
import type { AddressPool } from '../../webhook/core/slots.ts';
import type { Faults } from './faults.ts';
import type { OperatorWords } from './operator-words.ts';
import type { SeededRandom } from './random.ts';
import type { SimulatedGitHub } from './simulated-github.ts';
import type { SimulatedHost } from './simulated-host.ts';
import type { SimulatedState } from './simulated-state.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface Shared {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly faults: Faults;
  readonly github: SimulatedGitHub;
  readonly host: SimulatedHost;
  readonly state: SimulatedState;
  readonly pool: AddressPool;
  readonly knownHeads: ReadonlyMap<Sha, number>;
  readonly violations: Set<string>;
  readonly words: OperatorWords;
  /** Sends the deliveries that came to nothing once more; returns how many. */
  readonly redeliver: () => number;
}
