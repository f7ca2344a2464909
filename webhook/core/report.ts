/** What the pull request is told: one comment and one commit status, rendered from the facts. Pure; delivery is jobs/report-task. */
import { ERROR_CODES, hintAbout } from './errors.ts';
import { COMMENT_DETAIL_LINE_MAX, COMMENT_SENTENCE_MAX, FAILURE_TAIL_LINES } from './limits.ts';
import {
  phaseOf,
  seenHead,
  toldAssumptions,
  type Phase,
  type PreviewRecord,
  type RefusalReason,
  type StepName,
} from './preview.ts';
import { shortSha, type Sha } from './pull-request.ts';

export interface Report {
  /** GitHub-flavoured Markdown, without the marker that the adapter adds. Far from GitHub’s limit, whatever others said. */
  readonly comment: string;
  /** Whether a comment may be made. What is no more is only said where something was said before. */
  readonly mayCreate: boolean;
  /** Whether this is the last word on a preview that is no more: no sweep looks at the comment after it. */
  readonly isLastWord: boolean;
  /** Of the head, also while an earlier commit is shown; null when there is none to speak about. */
  readonly status: {
    readonly sha: Sha;
    readonly state: 'pending' | 'success' | 'failure' | 'error';
    readonly description: string;
    readonly url: string | null;
    /** Whether it speaks of work that is being done, and so must not be the last one. */
    readonly isUnderWay: boolean;
  } | null;
}

/** The report of a preview that is no more. `unfinished`: the commit that was last said to be under way, if that is where things were left. */
export function goneReport(unfinished: Sha | null): Report {
  const removed = { state: 'error', description: 'the preview is removed', url: null, isUnderWay: false } as const;
  return {
    comment: '**Preview** removed.',
    mayCreate: false,
    isLastWord: true,
    status: unfinished === null ? null : { sha: unfinished, ...removed },
  };
}

const STEP_TEXT: Readonly<Record<StepName, string>> = {
  look: 'reading the pull request',
  'fetch-source': 'fetching the commit',
  'read-manifest': 'reading preview.toml',
  'claim-names': 'choosing a name',
  'open-route': 'opening the URL',
  'create-instance': 'taking a slot',
  'place-source': 'placing the files',
  'ensure-database': 'making the database',
  'build-system': 'building the system',
  'set-up': 'running the app’s setup',
  start: 'starting the services',
  'check-health': 'waiting for the app to answer',
  'switch-route': 'switching the URL',
  retire: 'retiring the replaced instance',
  discard: 'removing an instance',
  'remove-route': 'removing the route',
  'remove-database': 'removing the database',
  forget: 'removing the record',
};

/** What a step does, in words: "running the app’s setup". */
export function stepText(step: StepName): string {
  return STEP_TEXT[step];
}

const REFUSAL_TEXT: Readonly<Record<RefusalReason, string>> = {
  fork: 'it comes from another repository',
  'fork-deleted': 'the repository it came from is gone',
  dependabot: 'its author is Dependabot',
  draft: 'it is a draft',
};

export function refusalText(reason: RefusalReason): string {
  return REFUSAL_TEXT[reason];
}

/** What a refusal means for what there is. A draft may have had a preview before it was one; nobody else is ever let in and then refused. */
export function refusedText(reason: RefusalReason): string {
  return reason === 'draft'
    ? 'Nothing of it is kept or run while it is a draft. It comes up when it is ready for review.'
    : 'Nothing of it was fetched or run.';
}

/** The phase in a few words, for a status line, a table cell and the status page's heading. */
export function phaseText(phase: Phase): string {
  switch (phase.name) {
    case 'waiting':
      return 'waiting for its turn';
    case 'refused':
      return `not run: ${refusalText(phase.reason)}`;
    case 'starting':
      return stepText(phase.step);
    case 'live':
      return phase.rolledBackFrom === null ? 'live' : 'live (rolled back)';
    case 'updating':
      return `live, updating: ${stepText(phase.step)}`;
    case 'retrying':
      return `${phase.live === null ? '' : 'live, but '}${stepText(phase.failure.step)} failed; trying again`;
    case 'failed':
      return `${phase.live === null ? '' : 'live, but '}${stepText(phase.failure.step)} failed`;
    case 'held':
      return 'destroyed by an operator';
    case 'removing':
      return 'being removed';
  }
}

/** The report of a preview. `urls` are its hosts, the main one first. */
export function reportFrom(record: PreviewRecord, urls: readonly string[]): Report {
  const phase = phaseOf(record);
  const url = urls[0] ?? null;
  const sha = phase.name === 'removing' ? null : seenHead(record);
  const told = statusOf(phase);
  const status = sha === null ? null : { sha, ...told, url: told.state === 'success' ? url : null };
  return {
    comment: [`**Preview** ${headline(phase, url)}`, ...bodyOf(record, phase, urls)].join('\n\n').toWellFormed(),
    // Before we know that it is open, and once it is not, there is nothing to begin a conversation with.
    mayCreate: record.wanted !== null && phase.name !== 'removing',
    isLastWord: false,
    status,
  };
}

function headline(phase: Phase, url: string | null): string {
  if (phase.name === 'live') return `is live at ${url ?? ''}${phase.rolledBackFrom === null ? '' : ' (rolled back)'}`;
  return `– ${phaseText(phase)}.`;
}

function bodyOf(record: PreviewRecord, phase: Phase, urls: readonly string[]): string[] {
  switch (phase.name) {
    case 'live': {
      const instance = record.instances.find((each) => each.name === record.answering);
      const totalMs = Object.values(instance?.timings ?? {}).reduce((sum, ms) => sum + ms, 0);
      return [
        `Commit ${phase.revision.sha}${totalMs > 0 ? `, up in ${(totalMs / 1_000).toFixed(1)} s` : ''}.`,
        ...(phase.rolledBackFrom === null
          ? []
          : [`An operator rolled it back from ${phase.rolledBackFrom}. A new push moves it forward again.`]),
        ...(urls.length > 1 ? [`Also at ${urls.slice(1).join(', ')}`] : []),
        ...assumptionLines(record),
      ];
    }
    case 'starting':
      return [`Commit ${phase.revision.sha}.`];
    case 'updating':
      return [
        `Commit ${phase.revision.sha}; until it answers, ${urls[0] ?? 'the URL'} shows ${shortSha(phase.live.sha)}.`,
      ];
    case 'refused':
      return [refusedText(phase.reason)];
    case 'held':
      return ['A new push brings it back.'];
    case 'retrying':
    case 'failed': {
      const { failure } = phase;
      return [
        `\`${failure.code}\`${failure.sha === null ? '' : ` at commit ${failure.sha}`}: ${escapedMarkdown(bounded(failure.message, COMMENT_SENTENCE_MAX))}`,
        ...(failure.detail === null ? [] : [codeBlock(boundedDetail(failure.detail))]),
        bounded(hintAbout(record.slug, failure.hint || ERROR_CODES[failure.code].hint), COMMENT_SENTENCE_MAX),
        ...assumptionLines(record),
        ...(phase.live === null ? [] : [`${urls[0] ?? 'The URL'} still shows ${shortSha(phase.live.sha)}.`]),
      ];
    }
    case 'waiting':
    case 'removing':
      return [];
  }
}

function assumptionLines(record: PreviewRecord): string[] {
  const [first, ...rest] = toldAssumptions(record);
  return first === undefined ? [] : [[first, ...rest.map((line) => `- ${line}`)].join('\n')];
}

function statusOf(phase: Phase): Omit<NonNullable<Report['status']>, 'sha' | 'url'> {
  // GitHub cuts the description off at 140 characters by refusing longer ones.
  const description = phaseText(phase).slice(0, 140);
  switch (phase.name) {
    case 'live':
      // Nobody may take the head for what the URL shows.
      return phase.rolledBackFrom === null
        ? { state: 'success', description, isUnderWay: false }
        : {
            state: 'pending',
            description: `rolled back: the URL shows ${shortSha(phase.revision.sha)}`,
            isUnderWay: false,
          };
    case 'failed':
      return { state: 'failure', description, isUnderWay: false };
    case 'refused':
    case 'held':
      return { state: 'pending', description, isUnderWay: false };
    case 'waiting':
    case 'starting':
    case 'updating':
    case 'retrying':
    case 'removing':
      return { state: 'pending', description, isUnderWay: true };
  }
}

function bounded(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}…`;
}

/** The beginnings of the last lines: of minified code and progress bars nobody reads the rest, and the hint below has to be read too. */
function boundedDetail(detail: string): string {
  const lines = detail.split('\n').slice(-FAILURE_TAIL_LINES);
  return lines.map((line) => bounded(line, COMMENT_DETAIL_LINE_MAX)).join('\n');
}

/** Text of others inside our Markdown: no markup, no mentions, one line. */
function escapedMarkdown(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_{}[\]()#+!|<>~]/g, (character) => `\\${character}`)
    .replaceAll('@', '@\u200b');
}

/** Text of others as a code block: the fence is longer than any run of backticks inside. */
function codeBlock(text: string): string {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), (match) => match[0].length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}
