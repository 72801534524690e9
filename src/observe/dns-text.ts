/** `weft dns explain` and `weft dns log` for people. */
import colors from 'picocolors';
import type { ExplainedAnswer, Explanation } from '../dns/explain.ts';
import type { QueryLogEntry } from '../dns/query-log.ts';
import { table } from './table.ts';

export function explanationText(told: Explanation): string {
  const { pod, name, nameservers, search, ndots, tries } = told;
  const parts = [
    table(
      ['POD', pod],
      [
        ['name servers', nameservers.join(' ') || 'none'],
        ['search', search.join(' ') || 'none'],
        ['ndots', `${ndots}: ${orderSentence(name, ndots)}`],
      ],
    ),
    table(
      ['', 'ASKED', 'BY', 'A', 'AAAA', 'FROM'],
      tries.map((each, i) => [
        `${i + 1}`,
        each.found ? colors.green(each.name) : each.name,
        each.by,
        ...(each.answers.length > 0 ? each.answers.map(answerCell) : ['not a domain name', '']),
        [...new Set(each.answers.map(({ source }) => source))].join(', '),
      ]),
    ),
    outcome(told),
  ];
  if (!told.asksUs) {
    parts.push(
      `${pod} asks ${nameservers.join(', ') || 'nobody'}, not the cluster's DNS: shown is what the host hears.`,
    );
  }
  return parts.join('\n\n');
}

function orderSentence(name: string, ndots: number): string {
  if (name.endsWith('.')) return 'a final dot, so the name is asked for as it is';
  const dots = name.split('.').length - 1;
  const count = `${name} has ${dots === 0 ? 'no dot' : dots === 1 ? '1 dot' : `${dots} dots`}`;
  return dots >= ndots ? `${count}, so it is asked for as it is first` : `${count}, so the search path comes first`;
}

function answerCell(answer: ExplainedAnswer): string {
  if (answer.rcode !== 'NOERROR') return answer.rcode;
  return answer.records.join(', ') || 'none';
}

function outcome({ name, tries, completed, completion }: Explanation): string {
  const found = tries.findIndex((each) => each.found);
  if (found < 0) return colors.yellow(`${name} is not found: all ${tries.length} names were asked for.`);
  if (found === 0) return `Found by the first question.`;
  if (completed) return `Found by the first question: the server completes it (${tries.length} names tried for it).`;
  const last = completion.at(-1);
  const why = last ? ` The server did not complete it: ${last.name}: ${last.result}.` : '';
  return `Found by question ${found + 1}.${why}`;
}

export function queryLogText(entries: readonly QueryLogEntry[]): string {
  if (entries.length === 0) return 'Nothing was asked.';
  return table(
    ['TIME', 'POD', 'ASKED', 'TYPE', 'ANSWER', 'FROM', 'MS', 'SEARCH'],
    entries.map((entry) => [
      entry.at.slice(11, 23),
      entry.pod || entry.client,
      entry.name,
      entry.type,
      [entry.rcode === 'NOERROR' ? '' : entry.rcode, ...entry.answers].filter((text) => text !== '').join(', ') ||
        'none',
      entry.source,
      entry.ms.toFixed(1),
      searchCell(entry),
    ]),
  );
}

function searchCell({ search, completion }: QueryLogEntry): string {
  if (!search) return '';
  const steps = completion ? `, then ${completion.map((step) => `${step.name} ${step.result}`).join(', ')}` : '';
  return `${search.step} of ${search.of} for ${search.name}${steps}`;
}
