/** Imported before a suite, this makes it run in IPv6. */
import { run } from './family.ts';

run.family = 6;
