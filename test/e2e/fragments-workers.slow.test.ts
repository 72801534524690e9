/** fragments.slow.test.ts with two workers in each agent. */
import './two-workers.ts';
import './fragments.slow.test.ts';
