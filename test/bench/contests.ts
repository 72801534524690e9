/** Contests as if they had been held: samples written down, the rest filled in. */
import type { Row } from '../../bench/contest.ts';
import type { Contest, Participant, Sample } from '../../bench/rounds.ts';

export const ROW: Row = { name: 'speed', title: 'speed', unit: 'Gbit/s', better: 'higher' };

export function participant(name: string, about: Partial<Participant> = {}): Participant {
  const kind = name.startsWith('weft') ? 'weft' : 'peer';
  return {
    name,
    title: name.toUpperCase(),
    kind,
    encrypted: false,
    description: '',
    version: '',
    memoryBytes: 0,
    ...about,
  };
}

/** One value per round and contender; undefined where it has none. */
export function contest(
  values: Readonly<Record<string, readonly (number | undefined)[]>>,
  about: { row?: Row; participants?: Participant[]; sample?: (sample: Sample) => Partial<Sample> } = {},
): Contest {
  const { row = ROW, participants = Object.keys(values).map((name) => participant(name)), sample } = about;
  const samples = Object.entries(values).flatMap(([contender, rounds]) =>
    rounds.flatMap((value, i): Sample[] => {
      if (value === undefined) return [];
      const load = { seconds: 1, busySeconds: 1, stolenCores: 0, otherCores: 0 };
      const plain = { stage: '', subject: 'subject', contender, round: i + 1, values: { [row.name]: value } };
      const whole: Sample = { ...plain, detail: {}, load };
      return [{ ...whole, ...sample?.(whole) }];
    }),
  );
  return {
    stages: [{ name: '', title: '', subjects: [{ name: 'subject', rows: [row] }] }],
    participants,
    missing: [],
    failures: [],
    samples,
    rounds: Math.max(...Object.values(values).map((rounds) => rounds.length)),
    seconds: 1,
    disturbed: { repeated: 0, kept: 0 },
    checksumErrors: 0,
    begun: '2026-01-01T00:00:00.000Z',
    minutes: 1,
  };
}
