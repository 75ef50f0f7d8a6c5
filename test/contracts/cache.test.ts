import { test } from 'tap';
import { caches } from '../support/adapters.ts';
import { cacheContract } from '../support/cache-contract.ts';

for (const { name, open } of caches) test(name, (t) => cacheContract(t, open));
