/** Subject: TCP from pod to pod by iperf3, cubic, in one or several streams, or back; retransmissions beside it. */
import { inNamespace, run } from '../command.ts';
import { type Path, PORTS, type Pod, type Subject } from '../contest.ts';
import { type Listener, listen } from './listener.ts';

interface IperfReport {
  error?: string;
  end: { sum_received: { bits_per_second: number; bytes: number }; sum_sent: { retransmits?: number } };
}

export function tcpStreams(streams: number, seconds: number, reverse = false): Subject {
  const name = `tcp-${streams}${reverse ? '-reverse' : ''}`;
  const title = `TCP, ${streams} stream${streams === 1 ? '' : 's'}${reverse ? ', reverse' : ''}`;
  return {
    name,
    rows: [{ name, title, unit: 'Gbit/s', better: 'higher' }],
    seconds: seconds + 0.2,
    async measure(path) {
      const listener = await iperfServer(path.server, PORTS.iperf);
      try {
        const { bitsPerSecond, bytes, retransmissions } = await iperf(path, { seconds, streams, reverse });
        return {
          values: { [name]: bitsPerSecond / 1e9 },
          detail: { retransmissions },
          bytes,
        };
      } finally {
        await listener.kill();
      }
    },
  };
}

export function iperfServer(pod: Pod, port: number): Promise<Listener> {
  return listen(pod, ['iperf3', '-s', '-1', '-p', `${port}`, '--forceflush']);
}

export interface IperfOptions {
  /** iperf3 knows whole seconds only: rounded up. */
  seconds: number;
  streams: number;
  reverse?: boolean;
  port?: number;
}

export async function iperf(path: Path, { seconds, streams, reverse = false, port = PORTS.iperf }: IperfOptions) {
  const flags = ['-J', '-C', 'cubic', '-t', `${Math.ceil(seconds)}`, '-P', `${streams}`, '-p', `${port}`];
  const argv = ['iperf3', '-c', path.address, ...flags, ...(reverse ? ['-R'] : [])];
  const report = JSON.parse(await run(inNamespace(path.client.namespace, argv))) as IperfReport;
  if (report.error) throw new Error(`iperf3: ${report.error}`);
  const { bits_per_second, bytes } = report.end.sum_received;
  return { bitsPerSecond: bits_per_second, bytes, retransmissions: report.end.sum_sent.retransmits ?? 0 };
}
