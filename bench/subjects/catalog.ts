/**
 * Every subject there is, with the time that each may take. Which of them a run measures, and on which paths, is the
 * run's choice.
 */
import type { Subject } from '../contest.ts';
import { datagramLatency } from './datagram-latency.ts';
import { flowGrowth, serviceGrowth } from './growth.ts';
import { lossFreeRate } from './loss-free-rate.ts';
import { newConnections } from './new-connections.ts';
import { packetRate } from './packet-rate.ts';
import { requestResponse } from './request-response.ts';
import { roundTrip } from './round-trip.ts';
import { tcpStreams } from './tcp-throughput.ts';

export function everySubject(seconds: number): Subject[] {
  return [
    tcpStreams(1, seconds),
    tcpStreams(4, seconds),
    tcpStreams(16, seconds),
    tcpStreams(1, seconds, true),
    packetRate(seconds),
    packetRate(seconds, 2),
    lossFreeRate(),
    datagramLatency(5000, seconds),
    datagramLatency(20_000, seconds),
    requestResponse(seconds),
    requestResponse(seconds, true),
    newConnections(seconds),
    roundTrip(),
    flowGrowth(seconds),
    serviceGrowth(seconds),
  ];
}
