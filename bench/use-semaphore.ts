/** To be loaded before the server (`node --import`): puts `semaphore-hash.ts` in the place of the product's hashing. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    // It takes its bounds from what it stands in for.
    specifier.endsWith('/password-hash.ts') && !context.parentURL?.endsWith('/semaphore-hash.ts')
      ? { url: new URL('./semaphore-hash.ts', import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
