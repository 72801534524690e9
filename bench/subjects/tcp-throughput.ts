/** Subject: TCP from pod to pod by iperf3, cubic, in one or several streams; retransmissions beside it. */
import { inNamespace, outputOf, run, start } from '../command.ts';
import type { Subject } from '../contest.ts';

interface IperfReport {
  error?: string;
  end: { sum_received: { bits_per_second: number; bytes: number }; sum_sent: { retransmits?: number } };
}

export function tcpStreams(streams: number, seconds: number): Subject {
  const name = `tcp-${streams}`;
  const title = streams === 1 ? 'TCP, 1 stream' : `TCP, ${streams} streams`;
  return {
    name,
    rows: [{ name, title, unit: 'Gbit/s', better: 'higher' }],
    seconds: seconds + 0.8,
    async measure({ client, server, address }) {
      const serve = inNamespace(server.namespace, ['iperf3', '-s', '-1', '--forceflush']);
      const listener = start(serve);
      const listened = outputOf(listener, serve);
      await new Promise((ready) => listener.stdout?.once('data', ready));
      const flags = ['-J', '-C', 'cubic', '-t', `${seconds}`, '-P', `${streams}`, '-O', '0.5'];
      const output = await run(inNamespace(client.namespace, ['iperf3', '-c', address, ...flags]));
      await listened;
      const report = JSON.parse(output) as IperfReport;
      if (report.error) throw new Error(`iperf3: ${report.error}`);
      const { bits_per_second, bytes } = report.end.sum_received;
      return {
        values: { [name]: bits_per_second / 1e9 },
        detail: { retransmissions: report.end.sum_sent.retransmits ?? 0 },
        bytes,
      };
    },
  };
}
