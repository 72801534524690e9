/**
 * A worker thread of the dataplane: an endless loop of exchange and process. It never returns to its event loop while it
 * runs; control leaves a message, counts it in shared memory and wakes it.
 */

import type { MessagePort } from 'node:worker_threads';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { loadNativeAddon } from '../io/native-addon.ts';
import { NativeIo } from '../io/native-io.ts';
import { allocateWords } from '../io/table-memory.ts';
import { PacketVector } from '../io/vector.ts';
import { Counters } from './counters.ts';
import { Crossing } from './crossing.ts';
import { EndpointStates } from './endpoint-states.ts';
import { Pipeline } from './pipeline.ts';
import type { FromWorker, PortAttachment, ToWorker, WorkerStart } from './worker-messages.ts';

class Loop {
  readonly #port: MessagePort;
  readonly #mail: Int32Array;
  readonly #vector: PacketVector;
  readonly #io: NativeIo;
  readonly #pipeline: Pipeline;
  /** Where there are several workers. */
  readonly #crossing: Crossing | undefined;
  #read = 0;
  #running = true;

  constructor(port: MessagePort, start: WorkerStart) {
    this.#port = port;
    this.#mail = new Int32Array(start.mail);
    const { shared } = start;
    this.#vector = new PacketVector(shared && new Uint8Array(shared.memory.arenas[shared.self]));
    const { wake } = loadNativeAddon();
    this.#crossing = shared && new Crossing(shared.self, shared.memory, (worker) => wake(shared.wakers[worker]));
    this.#io = new NativeIo(this.#vector, {
      waker: start.waker,
      stats: new Float64Array(start.native),
      busyPollMicros: start.busyPollMicros,
    });
    this.#pipeline = new Pipeline(this.#vector, {
      counters: new Counters(start.counters),
      maxFlows: start.maxFlows,
      crossing: this.#crossing,
      endpoints: new EndpointStates(start.endpoints.areas, start.endpoints.self),
      allocate: allocateWords,
    });
  }

  run(): void {
    const { context } = this.#pipeline;
    const crossing = this.#crossing;
    let waitMs = -1;
    while (this.#running) {
      this.#io.exchange(this.#vector, crossing === undefined ? waitMs : crossing.waits(waitMs));
      const handedOver = crossing === undefined ? 0 : crossing.take(this.#vector);
      if (Atomics.load(this.#mail, 0) !== this.#read) this.#readMail();
      this.#pipeline.process(this.#io.nowMs, handedOver);
      waitMs = this.#pipeline.waitMs(context.nowMs);
    }
    this.#io.close();
    this.#port.close();
  }

  #readMail(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      this.#read = (this.#read + 1) | 0;
      const message = received.message as ToWorker;
      const answer: FromWorker = { ticket: message.ticket };
      try {
        this.#obey(message);
      } catch (e) {
        const { message: text, code, syscall } = e as NodeJS.ErrnoException;
        answer.error = { message: text, code, syscall };
      }
      this.#port.postMessage(answer);
    }
  }

  #obey(message: ToWorker): void {
    if (message.type === 'attach') this.#attach(message.port, message.reader);
    else if (message.type === 'detach') this.#detach(message.id);
    else if (message.type === 'publish') this.#pipeline.swap(message.tables);
    else if (message.type === 'names') this.#pipeline.context.names = message.names;
    else this.#running = false;
  }

  #attach(port: PortAttachment, reader: number): void {
    const { context } = this.#pipeline;
    const crossing = this.#crossing;
    if (crossing === undefined) this.#io.attach(port);
    else {
      crossing.readers[port.id] = reader;
      const own = port.fds?.[crossing.self];
      this.#io.attach({ ...port, fd: own ?? port.fd, sendOnly: own === undefined && reader !== crossing.self });
    }
    context.counters.clearPort(port.id);
    context.attached[port.id] = 1;
    const mac = port.tapMac;
    if (mac === undefined) return;
    context.tunnel = {
      id: port.id,
      macHigh: (mac[0] << 8) | mac[1],
      macLow: (mac[2] << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5],
    };
  }

  #detach(id: number): void {
    const { context } = this.#pipeline;
    context.attached[id] = 0;
    if (context.tunnel?.id === id) context.tunnel = undefined;
    this.#io.detach(id);
  }
}

if (parentPort !== null) new Loop(parentPort, workerData as WorkerStart).run();
