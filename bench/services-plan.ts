/**
 * What `make bench-services` measures: a service of three endpoints on the other host, beside the way to one of them
 * without it. Each contender is measured on both ways in one go, so that what the service adds is its own doing and
 * not its network's.
 */
import { serviceContenders, weftOf } from './contenders/every-contender.ts';
import { besideDirect } from './paths.ts';
import { narrowed, type Wanted } from './plan.ts';
import type { Stage } from './rounds.ts';
import { newConnections } from './subjects/new-connections.ts';
import { oneStream } from './subjects/one-stream.ts';
import { requestResponse } from './subjects/request-response.ts';

export function serviceStagesOf(wanted: Wanted): Stage[] {
  const { seconds, against } = wanted;
  const contenders = serviceContenders();
  if (against) contenders.splice(1, 0, weftOf(against.checkout, against.title, { endpoints: 3 }));
  const subjects = [oneStream(seconds), newConnections(seconds), requestResponse(seconds)];
  const events = subjects.map((subject) => ({ subject: besideDirect(subject), takesPart: () => true }));
  return [narrowed({ name: '', title: '', contenders, events }, wanted)].filter((s) => s.events.length > 0);
}
