/**
 * What a preview's address shows while no app answers there: which step it is at, or why it failed. Pure: facts in, text out. It
 * renders the same phase that the pull request and the command line are told.
 */
import { hintAbout } from '../core/errors.ts';
import type { Phase, PreviewRecord, StepName } from '../core/preview.ts';
import { phaseOf, toldAssumptions } from '../core/preview.ts';
import { shortSha } from '../core/pull-request.ts';
import { phaseText, refusedText, stepText } from '../core/report.ts';
import { CONTENT_SECURITY_POLICY, SCRIPT, STYLE } from './status-page-assets.ts';

export interface StatusPage {
  readonly status: number;
  readonly html: string;
  /** The same in one line, for programs. Our own words alone: nothing that an app or a pull request says. */
  readonly text: string;
  /** When it may be better; null where it waits for a push or for a person. */
  readonly retryAfterSeconds: number | null;
  readonly contentSecurityPolicy: string;
}

/** The steps that take long take seconds. */
const RETRY_AFTER_SECONDS = 2;

/** The steps that a person waits for, in order; the others take milliseconds. */
const SHOWN_STEPS = [
  'fetch-source',
  'ensure-database',
  'build-system',
  'set-up',
  'start',
  'check-health',
] as const satisfies StepName[];

/** The page of a preview; of one that we know nothing of (its record is just being made or removed) with null. */
export function statusPageOf(record: PreviewRecord | null): StatusPage {
  const phase = record === null ? null : phaseOf(record);
  const headline = phase === null ? 'Waiting for its turn' : headlineOf(phase);
  const html = `<!doctype html>
<html lang="en" data-page="berth-status">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(headline)}${record?.slug == null ? '' : ` · ${escaped(record.slug)}`}</title>
<noscript><meta http-equiv="refresh" content="3"></noscript>
<style>${STYLE}</style>
</head>
<body>
<main>
${record === null ? '' : `<p class="of">${subjectOf(record)}</p>`}
<section class="card" aria-live="polite">
<h1>${escaped(headline)}</h1>
${record === null || phase === null ? '' : bodyOf(record, phase)}
</section>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
  return {
    status: 503,
    html,
    text: phase === null ? NOT_YET : lineOf(phase),
    retryAfterSeconds: phase !== null && isFinal(phase) ? null : RETRY_AFTER_SECONDS,
    contentSecurityPolicy: CONTENT_SECURITY_POLICY,
  };
}

const NOT_YET = 'The preview does not answer yet.';

function lineOf(phase: Phase): string {
  switch (phase.name) {
    case 'waiting':
    case 'starting':
      return `The preview does not answer yet: ${phaseText(phase)}.`;
    case 'retrying':
    case 'failed':
      // What answered before goes on answering: that it does not at this moment has another reason.
      if (phase.live !== null) return NOT_YET;
      return `The preview does not answer${isFinal(phase) ? '' : ' yet'}: ${phaseText(phase)} (${phase.failure.code}).`;
    case 'refused':
    case 'held':
      return `The preview does not answer: ${phaseText(phase)}.`;
    case 'removing':
      return `The preview does not answer any more: ${phaseText(phase)}.`;
    case 'live':
    case 'updating':
      return NOT_YET;
  }
}

/** Whether nothing comes of waiting. */
function isFinal(phase: Phase): boolean {
  if (phase.name === 'failed') return phase.live === null;
  return phase.name === 'refused' || phase.name === 'held' || phase.name === 'removing';
}

function headlineOf(phase: Phase): string {
  // The route and the record are switched one after the other; in between a preview is live that does not answer here yet.
  const text = phase.name === 'live' || phase.name === 'updating' ? 'almost there' : phaseText(phase);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function subjectOf(record: PreviewRecord): string {
  const { wanted, key } = record;
  const what = key.subject.kind === 'pull' ? ` #${key.subject.number}` : '';
  const revision = wanted === null || wanted.presence === 'absent' ? null : wanted.revision;
  const at = revision === null ? '' : ` · ${escaped(revision.ref)} · <code>${shortSha(revision.sha)}</code>`;
  return `${escaped(record.repository)}${what}${at}`;
}

function bodyOf(record: PreviewRecord, phase: Phase): string {
  switch (phase.name) {
    case 'waiting':
      return `<p class="soft">For <time datetime="${phase.since.toISOString()}"></time>. This page goes on by itself.</p>`;
    case 'starting':
      return `${stepsOf(record, { step: phase.step, mark: 'now', since: phase.since })}
<p class="soft">The preview opens here by itself as soon as it answers.</p>`;
    case 'retrying':
    case 'failed': {
      const { failure } = phase;
      return `<p>${escaped(failure.message)}</p>
${failure.detail === null ? '' : `<pre tabindex="0">${escaped(failure.detail)}</pre>`}
<p class="soft">${hintText(hintAbout(record.slug, failure.hint))} <code>${failure.code}</code></p>
${assumedText(record)}
${stepsOf(record, { step: failure.step, mark: 'wrong', since: null })}`;
    }
    case 'refused':
      return `<p class="soft">${refusedText(phase.reason)}</p>`;
    case 'held':
      return '<p class="soft">A new push brings it back.</p>';
    case 'live':
    case 'updating':
    case 'removing':
      return '';
  }
}

interface Position {
  readonly step: StepName;
  readonly mark: 'now' | 'wrong';
  readonly since: Date | null;
}

function stepsOf(record: PreviewRecord, at: Position): string {
  const instance = record.instances.at(-1);
  const { manifest, timings } = instance ?? { manifest: null, timings: {} };
  const steps = SHOWN_STEPS.filter((step) => {
    if (step === at.step || timings[step] !== undefined) return true;
    if (step === 'build-system') return false;
    if (step === 'ensure-database') return manifest?.database === 'host';
    return step !== 'set-up' || manifest === null || manifest.setup !== undefined;
  });
  const position = steps.indexOf(at.step as (typeof SHOWN_STEPS)[number]);
  const lines = steps.map((step, index) => {
    const state = step === at.step ? at.mark : timings[step] !== undefined || index < position ? 'done' : 'next';
    return `<li class="${state}"><span class="mark" role="img" aria-label="${STATE_TEXT[state]}"></span>${sentence(stepText(step))}${tookOf(state, timings[step], at.since)}</li>`;
  });
  return `<ul class="steps">\n${lines.join('\n')}\n</ul>`;
}

const STATE_TEXT = { done: 'done', now: 'under way', wrong: 'failed', next: 'to come' } as const;

function tookOf(state: string, ms: number | undefined, since: Date | null): string {
  if (state === 'now' && since !== null)
    return `<span class="took"><time datetime="${since.toISOString()}"></time></span>`;
  if (state !== 'done' || ms === undefined) return '';
  return `<span class="took">${ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`}</span>`;
}

/** What the failed commit was taken for, where it does not say itself. */
function assumedText(record: PreviewRecord): string {
  const [first, ...rest] = toldAssumptions(record);
  return first === undefined ? '' : `<p class="soft">${hintText(`${first} ${rest.join('; ')}.`)}</p>`;
}

/** A hint is our own text: commands stand in backticks. */
function hintText(hint: string): string {
  return escaped(hint).replace(/`([^`]+)`/g, '<code>$1</code>');
}

function sentence(text: string): string {
  return escaped(text.charAt(0).toUpperCase() + text.slice(1));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text of others as HTML text or attribute value. Control characters other than line ends and tabs are left out. */
function escaped(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex -- control characters are what is removed
      .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '')
      .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
  );
}
