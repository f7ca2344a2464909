import type { BuildLine } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import { buildArguments } from './branch-arguments.ts';
import type { CommandRunner } from './run.ts';

/** `preview build <owner/repo> [branch]`: what its preview will need is built now. */
export const build: CommandRunner = async ({ api, output, args }) => {
  const asked = buildArguments(args);
  for await (const line of api.follow<BuildLine>('/builds', asked)) {
    await output.document(line);
    const about = `${asked.repository}@${line.branch} (${line.commit.slice(0, 8)})`;
    await output.line(
      line.system === null
        ? `Nothing to build for ${about}: previews run with the programs of this machine.`
        : `Preview closure for ${about} ${line.isCached ? 'was' : 'built and'} cached: ${line.system}`,
    );
  }
  return EXIT.ok;
};
