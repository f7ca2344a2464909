/** Random histories of pull requests, as data: what happens on GitHub and to the operators, and when. */
import type { FaultKind } from './faults.ts';
import { WORDS, type WordKind } from './operator-words.ts';
import { SeededRandom } from './random.ts';
import type { AppKind } from './simulated-github.ts';

/** A pull request by repository id and number. */
interface PullAt {
  readonly repository: number;
  readonly number: number;
}

export type HistoryEvent = { readonly atMs: number } & (
  | ({
      readonly kind: 'open';
      readonly sha: string;
      readonly app: AppKind;
      readonly author: 'member' | 'fork' | 'dependabot' | 'deleted-fork';
      readonly draft: boolean;
    } & PullAt)
  | ({ readonly kind: 'push'; readonly sha: string; readonly app: AppKind } & PullAt)
  | ({ readonly kind: 'close' | 'reopen' | 'draft' | 'ready' | 'base' | 'fork-deleted' } & PullAt)
  /** The head goes back to the commit before: a force push. */
  | ({ readonly kind: 'back' } & PullAt)
  /** An operator's command. */
  | ({ readonly kind: WordKind } & PullAt)
  /** Somebody lays hands on our comment. */
  | ({ readonly kind: 'comment-edited' | 'comment-deleted' } & PullAt)
  | { readonly kind: 'rename' | 'transfer'; readonly repository: number; readonly name: string }
  | { readonly kind: 'disallow' | 'allow'; readonly repository: number }
  | { readonly kind: 'kill' | 'stop' | 'second-operator' }
);

export interface History {
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  /**
   * Whether sweeps run. Without them no delivery gets lost for good and nothing happens that GitHub does not announce: then the deliveries alone
   * have to lead to the right world, and a sweep cannot hide that they do not.
   */
  readonly sweeps: boolean;
  readonly events: readonly HistoryEvent[];
}

/** Repositories of every history; the first two have names that shorten to the same slug. */
export const REPOSITORIES = [
  { id: 101, name: 'acme/my--app' },
  { id: 102, name: 'acme/my-app' },
  { id: 103, name: 'other/shop' },
] as const;

const APPS: readonly AppKind[] = [
  'good',
  'good',
  'good',
  'with-database',
  'with-database',
  'with-extra-host',
  'bad-manifest',
  'no-manifest',
  'setup-fails',
  'unhealthy',
];

/** What is said and done where operators have a say. An update and a force push matter after one of the others. */
const SAID = [...WORDS, 'destroy', 'rollback', 'back'] as const;

/**
 * Events fall into one of these spans of virtual time. A bring-up takes a second or two: in the longest, most events find the work on the one before
 * done; in the shortest, nearly all meet it in progress.
 */
const SPANS_MS = [2_500, 10_000, 40_000] as const;

/** A history from a seed: two to four pull requests, six to twenty events, each of which is possible when it happens. */
export function randomHistory(seed: number, faults: readonly FaultKind[]): History {
  const random = new SeededRandom(seed);
  const sweeps = random.chance(0.5);
  const pulls = Array.from({ length: random.integer(2, 4) }, (_, index) => ({
    repository: random.pick(REPOSITORIES).id as number,
    number: index < 2 ? 7 : random.integer(1, 99),
  }));
  const distinct = [...new Map(pulls.map((pull) => [`${pull.repository}/${pull.number}`, pull])).values()];
  const spanMs = random.pick(SPANS_MS);
  const times = Array.from({ length: random.integer(6, 20) }, () => random.integer(0, spanMs)).sort((a, b) => a - b);
  const open = new Map<PullAt, PullState>();
  const around = elsewhereKinds(sweeps, faults);
  const words = faults.includes('words');
  const events = times.map((atMs) => eventAt(random, atMs, random.pick(distinct), { open, around, words }));
  return { seed, faults, sweeps, events };
}

/** `spoken-of`: an operator has just said something; what a word is worth shows when the head moves on. */
type PullState = 'open' | 'spoken-of' | 'closed';

interface Sofar {
  readonly open: Map<PullAt, PullState>;
  readonly around: readonly ElsewhereKind[];
  /** Whether operators have a say. */
  readonly words: boolean;
}

function eventAt(random: SeededRandom, atMs: number, pull: PullAt, { open, around, words }: Sofar): HistoryEvent {
  const sha = random.sha();
  const app = random.pick(APPS);
  const state = open.get(pull);
  if (state === undefined) {
    open.set(pull, 'open');
    const author = random.chance(0.8) ? 'member' : random.pick(['fork', 'dependabot', 'deleted-fork'] as const);
    return { kind: 'open', atMs, sha, app, author, draft: random.chance(0.1), ...pull };
  }
  if (around.length > 0 && random.chance(0.12)) return elsewhere(random, atMs, pull, random.pick(around));
  if (state === 'closed') {
    if (random.chance(0.3)) return { kind: 'push', atMs, sha, app, ...pull };
    open.set(pull, 'open');
    return { kind: 'reopen', atMs, ...pull };
  }
  if (state === 'spoken-of') {
    open.set(pull, 'open');
    if (random.chance(0.6)) return { kind: 'push', atMs, sha, app, ...pull };
  }
  if (words && random.chance(0.3)) {
    open.set(pull, 'spoken-of');
    return { kind: random.pick(SAID), atMs, ...pull };
  }
  if (random.chance(0.25)) {
    open.set(pull, 'closed');
    return { kind: 'close', atMs, ...pull };
  }
  if (random.chance(0.25)) return { kind: random.pick(['draft', 'ready', 'base'] as const), atMs, ...pull };
  return { kind: 'push', atMs, sha, app, ...pull };
}

type ElsewhereKind =
  | ('rename' | 'transfer' | 'disallow' | 'allow' | 'comment-edited' | 'comment-deleted')
  | ('kill' | 'stop' | 'second-operator');

/** What may happen around pull requests. GitHub announces none of the first six to us: they need a sweep. */
function elsewhereKinds(sweeps: boolean, faults: readonly FaultKind[]): ElsewhereKind[] {
  const unannounced: ElsewhereKind[] = sweeps
    ? ['rename', 'transfer', 'disallow', 'allow', 'comment-edited', 'comment-deleted']
    : [];
  return faults.includes('operators') ? [...unannounced, 'kill', 'stop', 'second-operator'] : unannounced;
}

function elsewhere(random: SeededRandom, atMs: number, pull: PullAt, kind: ElsewhereKind): HistoryEvent {
  const { repository } = pull;
  switch (kind) {
    case 'comment-edited':
    case 'comment-deleted':
      return { kind, atMs, ...pull };
    case 'rename':
      return { kind, atMs, repository, name: `acme/renamed-${random.integer(1, 3)}-${repository}` };
    case 'transfer':
      return { kind, atMs, repository, name: `elsewhere/app-${repository}` };
    case 'disallow':
    case 'allow':
      return { kind, atMs, repository };
    case 'kill':
    case 'stop':
    case 'second-operator':
      return { kind, atMs };
  }
}

/** A history as lines that a person reads. */
export function storyOf(history: History): string[] {
  const events = history.events.map((event) => {
    const { kind, atMs, ...rest } = event;
    const about = Object.entries(rest).map(
      ([name, value]) => `${name}=${name === 'sha' ? String(value).slice(0, 8) : String(value)}`,
    );
    return `${(atMs / 1_000).toFixed(1).padStart(5)} s  ${kind} ${about.join(' ')}`.trimEnd();
  });
  return history.sweeps ? events : ['without sweeps:', ...events];
}
