import type { PlanView } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import type { CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';

/** `preview plan <slug>`: what the reconciler would do now, and why. */
export const plan: CommandRunner = async ({ api, output, args }) => {
  const view = await api.ask<PlanView>('GET', `${previewPath(args[0])}/plan`);
  await output.document(view);
  await output.line(`Wanted: ${view.wanted}`);
  if (view.steps.length === 0) await output.line('Nothing to do.');
  for (const [index, step] of view.steps.entries()) await output.line(`${String(index + 1).padStart(3)}. ${step}`);
  return EXIT.ok;
};
