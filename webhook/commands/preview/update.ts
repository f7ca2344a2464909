import type { AskedView } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import type { CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';
import { untilShown } from './wait.ts';

/** `preview update <slug>`: nothing to do is success too. */
export const update: CommandRunner = async (context) => {
  const asked = await context.api.ask<AskedView>('POST', `${previewPath(context.args[0])}/update`);
  if (!asked.isDone) return untilShown(context, asked);
  await context.output.document(asked);
  const { slug, commit } = asked.preview;
  await context.output.line(`No new commits for '${slug ?? ''}' (${commit?.slice(0, 8) ?? '-'}). Nothing to do.`);
  return EXIT.ok;
};
