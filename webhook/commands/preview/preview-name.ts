import type { PreviewView } from '../../core/preview-view.ts';

/** What people call a preview: its slug, or what it is of as long as it has none. */
export function nameOf({ slug, repository, branch, pullRequest }: PreviewView): string {
  return slug ?? `${repository} ${branch ?? `#${pullRequest}`}`;
}
