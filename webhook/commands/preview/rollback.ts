import type { AskedView } from '../../core/preview-view.ts';
import type { CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';
import { untilShown } from './wait.ts';

/** `preview rollback <slug>`: the previous commit, until the next push. */
export const rollback: CommandRunner = async (context) => {
  const asked = await context.api.ask<AskedView>('POST', `${previewPath(context.args[0])}/rollback`);
  return untilShown(context, asked);
};
