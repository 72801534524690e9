/** Categories of a profile taken together, for a table that is read at a glance. */
import type { Category } from './profile-categories.ts';
import { isBusy, type Profile } from './profile-figures.ts';
import { number } from './report-words.ts';

export const GROUPS: readonly { readonly title: string; readonly categories: readonly Category[] }[] = [
  { title: 'copying to and from user space', categories: ['copying'] },
  { title: "packets' memory in the kernel", categories: ['memory'] },
  { title: "the kernel's networking: IP, TCP, UDP, veth, VXLAN", categories: ['network', 'transport', 'offloads'] },
  { title: 'TUN, TAP, sockets, entry to system calls', categories: ['tun', 'sockets', 'calls'] },
  { title: 'scheduling, wake-ups, busy polling', categories: ['scheduling', 'polling', 'interrupts'] },
  { title: 'JavaScript, V8, Node-API', categories: ['javascript', 'runtime'] },
  { title: 'the addon', categories: ['addon'] },
  { title: 'traffic generator and rest', categories: ['generator', 'rest'] },
];

/** Markdown: a table for each subject. */
export function groupTables(profiles: readonly Profile[]): string {
  const subjects = [...new Set(profiles.map((p) => p.subject))];
  return subjects.map((subject) => groupTable(profiles.filter((p) => p.subject === subject))).join('\n\n');
}

/** Of one subject: groups down, contenders across, the sum last. */
function groupTable(profiles: readonly Profile[]): string {
  const each = (profile: Profile, among: (category: Category) => boolean) =>
    profile.shares.filter((s) => among(s.category)).reduce((sum, s) => sum + s.each, 0);
  const head = [`${profiles[0]?.subjectTitle ?? ''}, ${profiles[0]?.costUnit ?? ''}`, ...profiles.map((p) => p.title)];
  const rule = ['---', ...profiles.map(() => '---:')];
  const lines = GROUPS.map(({ title, categories }) => [
    title,
    ...profiles.map((p) => number(each(p, (c) => categories.includes(c)))),
  ]);
  const sum = ['together', ...profiles.map((p) => `**${number(each(p, isBusy))}**`)];
  return [head, rule, ...lines, sum].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
