/** To be loaded before the server (`node --import`): puts `semaphore-hash.ts` in the place of the product's hashing. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/password-hash.ts')
      ? { url: new URL('./semaphore-hash.ts', import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
