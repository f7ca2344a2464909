import type { FailureView, InstanceView, PreviewDetailView } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import { colourOf } from './list.ts';
import { nameOf } from './preview-name.ts';
import type { CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';

/** `preview status <slug>`: all that is known. */
export const status: CommandRunner = async ({ api, output, args }) => {
  const { preview } = await api.ask<{ preview: PreviewDetailView }>('GET', previewPath(args[0]));
  await output.document({ preview });
  await output.line(`${nameOf(preview)}: `, { tone: colourOf(preview.status), text: preview.statusText });
  for (const line of statusLines(preview)) await output.line(line);
  return EXIT.ok;
};

/** The facts below the title, one per line; a failure's last lines of output indented. */
function statusLines(preview: PreviewDetailView): string[] {
  const { pullRequest, failure } = preview;
  return [
    ...preview.urls.map((url) => field('URL', url)),
    field('Repo', `${preview.repository}${pullRequest === null ? '' : `, pull request #${pullRequest}`}`),
    field('Branch', preview.branch ?? '-'),
    field('Commit', preview.commit?.slice(0, 8) ?? '-'),
    ...(preview.wantedCommit === null || preview.wantedCommit === preview.commit
      ? []
      : [field('Wanted', preview.wantedCommit.slice(0, 8))]),
    field('Database', preview.hasDatabase ? 'of its own' : 'none'),
    ...preview.instances.map((instance) => field('Instance', instanceText(instance))),
    ...assumedLines(preview),
    ...(failure === null ? [] : failureLines(failure)),
  ];
}

/** What was assumed of a commit that does not say itself what it needs. */
export function assumedLines({ assumptions }: PreviewDetailView): string[] {
  return assumptions.map((assumption) => field('Assumed', assumption));
}

function instanceText({ name, commit, state, timingsMs }: InstanceView): string {
  const totalMs = Object.values(timingsMs).reduce((sum, ms) => sum + ms, 0);
  const isUp = state === 'answering' || state === 'kept for rollback';
  const tookText = isUp && totalMs > 0 ? `, up in ${(totalMs / 1_000).toFixed(1)} s` : '';
  return `${name} at ${commit.slice(0, 8)}, ${state}${tookText}`;
}

/** Why it failed, what happens next, and the last lines of output. */
export function failureLines(failure: FailureView): string[] {
  return [
    field('Failure', `${failure.code} at ${failure.step}${failure.attempts > 1 ? `, ${failure.attempts} times` : ''}`),
    field('', failure.message),
    field('', failure.hint),
    ...(failure.nextAttemptAt === null ? [] : [field('Next try', failure.nextAttemptAt)]),
    ...(failure.detail === null ? [] : failure.detail.split('\n').map((line) => `    ${line}`)),
  ];
}

function field(name: string, value: string): string {
  return `  ${(name === '' ? '' : `${name}:`).padEnd(11)}${value}`;
}
