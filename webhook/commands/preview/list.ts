import type { PreviewView } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import type { Painted } from './output.ts';
import type { CommandRunner } from './run.ts';

const HEADER = ['SLUG', 'STATUS', 'BRANCH', 'URL'] as const;

/** `preview list`: one line each. */
export const list: CommandRunner = async ({ api, output }) => {
  const { previews } = await api.ask<{ previews: PreviewView[] }>('GET', '/previews');
  await output.document({ previews });
  if (previews.length === 0) await output.line('(no previews)');
  else for (const line of tableLines(previews)) await output.line(...line);
  return EXIT.ok;
};

function tableLines(previews: readonly PreviewView[]): (string | Painted)[][] {
  const rows = previews.map((each) => [each.slug ?? '-', each.status, each.branch ?? '-', each.url ?? '-'] as const);
  const widths = HEADER.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const cells = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(column === 3 ? 0 : (widths[column] ?? 0)));
  return [
    [cells(HEADER).join('  ')],
    ...rows.map((row) => {
      const [slug = '', status = '', branch = '', url = ''] = cells(row);
      return [`${slug}  `, { tone: colourOf(row[1]), text: status }, `  ${branch}  ${url}`];
    }),
  ];
}

/** Green answers, red needs somebody, yellow is on its way. */
export function colourOf(status: PreviewView['status']): 'green' | 'red' | 'yellow' | 'dim' {
  switch (status) {
    case 'live':
      return 'green';
    case 'failed':
      return 'red';
    case 'refused':
    case 'held':
      return 'dim';
    case 'waiting':
    case 'starting':
    case 'updating':
    case 'retrying':
    case 'removing':
      return 'yellow';
  }
}
