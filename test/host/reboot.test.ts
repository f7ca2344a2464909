import { join } from 'node:path';
import { hostTest } from './host-test.ts';
import { bringUpTestHost } from './test-host.ts';

hostTest('after a power cut every preview comes back by itself, without a build and without GitHub', async () => {
  await using host = await bringUpTestHost();
  const inside = join(import.meta.dirname, 'inside');
  await host.run(['node', join(inside, 'a-preview-to-keep.ts')], { cwd: '/tmp' });
  await host.reboot();
  await host.run(['node', join(inside, 'a-return.ts')], { cwd: '/tmp' });
});
