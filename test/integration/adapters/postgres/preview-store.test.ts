import { previewStoreContract } from '../../../contracts/preview-store.contract.ts';
import { openTestState } from '../../../support/test-state.ts';

previewStoreContract('PostgreSQL', openTestState);
