/**
 * What a run measures: the stages, the subjects of each, and who takes part in which. Everyone is compared in what
 * people choose a network by; what else there is to know is asked of Weft and the kernel, or the bench would take hours.
 */
import { BEFORE, DIRECT, everyContender, KERNEL, mainContenders, OWN, weftOf } from './contenders/every-contender.ts';
import { switchOffloadsOff } from './contenders/host-pair.ts';
import type { Contender, Subject } from './contest.ts';
import { onOneHost, throughService, VARIANT } from './paths.ts';
import type { Event, Stage } from './rounds.ts';
import { everySubject } from './subjects/catalog.ts';

export interface Wanted {
  readonly seconds: number;
  /** tcp-1, tcp-1/service, or service for all on that path; undefined is all. */
  readonly subjects?: readonly string[];
  /** Beside Weft; undefined is all. */
  readonly peers?: readonly string[];
  /** The few of `make bench-quick`. */
  readonly quick: boolean;
  /** Another checkout of Weft, built, that takes part in everything beside this one. */
  readonly against?: { readonly checkout: string; readonly title: string };
}

/** What two versions are compared in, unless subjects are named. */
export const AGAINST_SUBJECTS = [
  'tcp-1',
  'tcp-4',
  'tcp-1/no-offloads',
  'flood',
  'loss-free',
  'ping',
  'request-response',
  'connections',
] as const;

const FOR_ALL = ['tcp-1', 'request-response', 'connections', 'ping'];
/** Those that encrypt are no match here, and take as long. */
const FOR_PLAIN = ['tcp-4', 'flood'];
const FOR_TWO = ['loss-free'];
/** Of ours alone: how cost grows. */
const GROWTH = ['flows', 'services'];
const GROWTH_ROUNDS = 3;
const THROUGH_SERVICE = ['tcp-1', 'request-response', 'connections'];
const ON_ONE_HOST = ['tcp-1', 'request-response'];
const ON_OTHER_UNDERLAYS = ['tcp-1', 'tcp-4', 'flood', 'request-response'];
const QUICK = ['tcp-1', 'tcp-4', 'flood', 'request-response', 'ping'];
const MAIN = [OWN, KERNEL, DIRECT];
const JUMBO_MTU = 9000;
const MTU_STAGE = `mtu-${JUMBO_MTU}`;
/** Take part whoever else is wanted. */
const OURS = [OWN, BEFORE];

export function stagesOf(wanted: Wanted): Stage[] {
  const subjects = everySubject(wanted.seconds);
  const named = (names: readonly string[]) => subjects.filter((s) => names.includes(s.name));
  const stages: (Stage & { contenders: Contender[] })[] = wanted.quick
    ? [{ name: '', title: '', contenders: mainContenders(), events: named(QUICK).map(forAll) }]
    : [
        {
          name: '',
          title: '',
          contenders: everyContender(),
          events: [
            ...subjects.map(eventOf),
            ...named(THROUGH_SERVICE).map((s) => forSome(throughService(s), [OWN, KERNEL])),
            ...named(ON_ONE_HOST).map((s) => forSome(onOneHost(s), [OWN, KERNEL])),
          ],
        },
        {
          name: 'no-offloads',
          title: "the underlay's offloads off",
          contenders: mainContenders(),
          events: named(ON_OTHER_UNDERLAYS).map(forAll),
          prepare: (contender) => switchOffloadsOff(contender.hosts),
        },
        {
          name: MTU_STAGE,
          title: `an underlay with an MTU of ${JUMBO_MTU}`,
          contenders: mainContenders(JUMBO_MTU),
          events: named(ON_OTHER_UNDERLAYS).map(forAll),
        },
      ];
  const { against } = wanted;
  if (against) {
    for (const stage of stages) {
      const options = stage.name === MTU_STAGE ? { underlayMtu: JUMBO_MTU } : {};
      stage.contenders.splice(1, 0, weftOf(against.checkout, against.title, options));
    }
  }
  return stages.map((stage) => narrowed(stage, wanted)).filter((s) => s.contenders.length > 0 && s.events.length > 0);
}

/** Every name that --subjects and --peers know. */
export function namesOf(stages: readonly Stage[]): { subjects: Set<string>; peers: Set<string> } {
  const subjects = new Set<string>();
  const peers = new Set<string>();
  for (const stage of stages) {
    for (const { subject } of stage.events) for (const name of namesFor(subject, stage)) subjects.add(name);
    for (const { name } of stage.contenders) if (!OURS.includes(name)) peers.add(name);
  }
  return { subjects, peers };
}

export function narrowed(stage: Stage, { subjects, peers }: Wanted): Stage {
  const isWanted = (subject: Subject) => !subjects || namesFor(subject, stage).some((name) => subjects.includes(name));
  return {
    ...stage,
    contenders: stage.contenders.filter((c) => OURS.includes(c.name) || !peers || peers.includes(c.name)),
    events: stage.events.filter((event) => isWanted(event.subject)),
  };
}

function namesFor({ name }: Subject, stage: Stage): string[] {
  const full = stage.name ? `${name}${VARIANT}${stage.name}` : name;
  const variant = full.split(VARIANT)[1];
  return variant === undefined ? [full] : [full, variant];
}

function eventOf(subject: Subject): Event {
  const { name } = subject;
  if (FOR_ALL.includes(name)) return forAll(subject);
  if (FOR_PLAIN.includes(name)) return { subject, takesPart: (contender) => !contender.encrypted };
  if (GROWTH.includes(name)) return { ...forSome(subject, [OWN]), rounds: GROWTH_ROUNDS };
  return forSome(subject, FOR_TWO.includes(name) ? [OWN, KERNEL] : MAIN);
}

function forAll(subject: Subject): Event {
  return { subject, takesPart: () => true };
}

function forSome(subject: Subject, names: readonly string[]): Event {
  return {
    subject,
    takesPart: (contender: Contender) => names.includes(contender.name === BEFORE ? OWN : contender.name),
  };
}
