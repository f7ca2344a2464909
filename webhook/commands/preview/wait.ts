/** Waiting for what was asked for: follows the preview until it shows the wanted commit, is gone, or has failed. */
import type { AskedView, FailureView, PreviewDetailView, WatchLine } from '../../core/preview-view.ts';
import { EXIT, type ExitStatus } from './command-table.ts';
import { nameOf } from './preview-name.ts';
import type { Progress } from './progress.ts';
import type { CommandContext } from './run.ts';
import { assumedLines, failureLines } from './status.ts';
import type { Ending } from './steps-seen.ts';

export type Verdict =
  | { readonly kind: 'wait' }
  | { readonly kind: 'shown' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'failed'; readonly message: string };

/** Whether the wait is over. Until there is a verdict on the wish, a preview shows what was there before it. */
function verdictOf(asked: AskedView, line: WatchLine): Verdict {
  if ('gone' in line) return { kind: 'gone' };
  const { preview } = line;
  if (preview.concludedGeneration < asked.preview.generation) return { kind: 'wait' };
  switch (preview.status) {
    case 'live':
      return { kind: 'shown' };
    case 'failed':
      return { kind: 'failed', message: `${preview.failure?.code ?? ''}: ${preview.failure?.message ?? ''}` };
    case 'refused':
      return { kind: 'failed', message: preview.statusText };
    case 'waiting':
    case 'starting':
    case 'updating':
    case 'retrying':
    case 'held':
    case 'removing':
      return { kind: 'wait' };
  }
}

/** Waits until the wanted commit answers, and prints where. */
export async function untilShown(context: CommandContext, asked: AskedView): Promise<ExitStatus> {
  const { output } = context;
  if (asked.preview.status === 'refused') return failed(context, asked.preview, asked.preview.statusText);
  if (context.options['no-wait'] === true) return notWaited(context, asked);
  const { verdict, preview } = await followed(context, asked, (line) => verdictOf(asked, line));
  if (verdict.kind === 'gone') return failed(context, preview, 'The preview was removed meanwhile.');
  if (verdict.kind === 'failed') return failed(context, preview, verdict.message);
  await output.document({ preview });
  for (const url of preview.urls) await output.line(`URL: ${url}`);
  await output.line(`Repo: ${preview.repository}`);
  await output.line(`Branch: ${preview.branch ?? '-'}`);
  await output.line(`Commit: ${preview.commit?.slice(0, 8) ?? '-'}`);
  output.info(`preview logs ${preview.slug ?? ''} --follow`);
  return EXIT.ok;
}

/** Waits until nothing of the preview is left. */
export async function untilGone(context: CommandContext, asked: AskedView): Promise<ExitStatus> {
  if (context.options['no-wait'] === true) return notWaited(context, asked);
  const { verdict, preview } = await followed(context, asked, (line) => {
    if ('gone' in line || line.preview.status === 'held') return { kind: 'gone' };
    return line.preview.status === 'failed' ? verdictOf(asked, line) : { kind: 'wait' };
  });
  if (verdict.kind === 'failed') return failed(context, preview, verdict.message);
  await context.output.document({ destroyed: preview.slug });
  await context.output.line(`Preview '${nameOf(preview)}' is gone.`);
  return EXIT.ok;
}

async function followed(
  { api, output }: CommandContext,
  asked: AskedView,
  judge: (line: WatchLine) => Verdict,
): Promise<{ verdict: Verdict; preview: PreviewDetailView }> {
  const isLive = process.stderr.isTTY && !output.isJson;
  const { liveProgress, plainProgress } = await import('./progress.ts');
  const progress: Progress = isLive ? await liveProgress(asked) : plainProgress(output, asked);
  let preview = asked.preview;
  try {
    for await (const line of api.follow<WatchLine>(`/watch?key=${encodeURIComponent(asked.preview.key)}`)) {
      if ('preview' in line) preview = line.preview;
      const verdict = judge(line);
      if (verdict.kind !== 'wait') {
        await progress.end(endingOf(verdict, asked, preview), preview);
        return { verdict, preview };
      }
      progress.show(preview);
    }
  } catch (error) {
    const message = 'how it goes on is not known: the operator does not answer any more';
    await progress.end({ kind: 'failed', message, failure: null }, preview);
    throw error;
  }
  return { verdict: { kind: 'failed', message: 'The operator ended the watch.' }, preview };
}

function endingOf(verdict: Exclude<Verdict, { kind: 'wait' }>, asked: AskedView, last: PreviewDetailView): Ending {
  if (verdict.kind === 'failed') return { ...verdict, failure: last.failure };
  const isAsked = (verdict.kind === 'gone') === (asked.wantedCommit === null);
  return isAsked ? { kind: 'done' } : { kind: 'failed', message: 'the preview was removed meanwhile', failure: null };
}

async function notWaited({ output }: CommandContext, asked: AskedView): Promise<ExitStatus> {
  await output.document(asked);
  const { slug } = asked.preview;
  // A new preview gets its name in a moment, and which one is free then nobody can say now.
  await output.line(`Asked for. See: ${slug === null ? 'preview list' : `preview status ${slug}`}`);
  return EXIT.ok;
}

async function failed({ output }: CommandContext, preview: PreviewDetailView, message: string): Promise<ExitStatus> {
  const failure: FailureView | null = preview.failure;
  const hint = preview.slug === null ? '' : `See: preview status ${preview.slug}, preview logs ${preview.slug}`;
  if (output.isJson) {
    await output.document({ error: { code: failure?.code ?? 'BAD_REQUEST', message, hint }, preview });
    return EXIT.failed;
  }
  await output.error({ code: failure?.code ?? 'BAD_REQUEST', message, hint });
  if (failure !== null) for (const line of [...assumedLines(preview), ...failureLines(failure)]) output.info(line);
  return EXIT.failed;
}
