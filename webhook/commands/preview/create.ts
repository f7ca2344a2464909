import type { AskedView } from '../../core/preview-view.ts';
import { branchArguments } from './branch-arguments.ts';
import type { CommandRunner } from './run.ts';
import { untilShown } from './wait.ts';

/** `preview create <owner/repo> <branch>`. */
export const create: CommandRunner = async (context) => {
  const asked = await context.api.ask<AskedView>('POST', '/previews', branchArguments(context.args, 'create'));
  return untilShown(context, asked);
};
