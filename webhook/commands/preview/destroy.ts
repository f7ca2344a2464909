import type { AskedView } from '../../core/preview-view.ts';
import type { CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';
import { untilGone } from './wait.ts';

/** `preview destroy <slug>`: returns when nothing of it is left. */
export const destroy: CommandRunner = async (context) => {
  const asked = await context.api.ask<AskedView>('DELETE', previewPath(context.args[0]));
  return untilGone(context, asked);
};
