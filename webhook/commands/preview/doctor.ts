import type { DoctorFinding, DoctorView } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import type { CommandRunner } from './run.ts';

/** `preview doctor [--fix]`: what is not as it should be. Without findings, or when all of them were seen to, it ends with 0. */
export const doctor: CommandRunner = async ({ api, output, options }) => {
  const view = await api.ask<DoctorView>('POST', '/doctor', { fix: options.fix === true });
  await output.document(view);
  for (const finding of view.findings) await output.line(findingText(finding));
  const open = view.findings.filter((finding) => !view.isFixed || finding.fix === null);
  const looked = `${view.previews} preview${view.previews === 1 ? '' : 's'} looked at`;
  await output.line(
    view.findings.length === 0 ? `${looked}: all is as it should be.` : `${looked}, ${view.findings.length} found.`,
  );
  return open.length === 0 ? EXIT.ok : EXIT.failed;
};

function findingText({ kind, about, message, fix }: DoctorFinding): string {
  return `${kind.padEnd(8)} ${about}: ${message}${fix === null ? '' : ` → ${fix}`}`;
}
