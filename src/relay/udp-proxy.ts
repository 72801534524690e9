/**
 * The proxy port of one UDP service port. Each client (address and port) has a conversation: a socket of its own,
 * connected to its endpoint, over which datagrams of any size go both ways until neither side has said anything for a
 * while. An endpoint whose host answers with ICMP is moved on from, with the datagrams that nobody answered. When the
 * endpoint leaves the service, or the port closes, the conversation ends at once: no datagram goes to a stale place.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { triesAgain } from './attempts.ts';
import type { ConversationRoom, RoomMember } from './conversation-room.ts';
import { Conversations } from './conversations.ts';
import { type Choice, EndpointPicker, type PickerOptions, type Target } from './endpoint-picker.ts';
import type { ProxyCounts, ProxyPort } from './proxy-port.ts';
import { Unanswered } from './unanswered.ts';

interface Conversation {
  readonly key: string;
  readonly client: RemoteInfo;
  choice: Choice;
  socket: Socket | undefined;
  connected: boolean;
  usedAtMs: number;
  /** Attempts since the last answer. */
  made: number;
  readonly unanswered: Unanswered;
}

const IDLE_MS = 30_000;
const LOOK_MS = 1000;
/** Errors by which ICMP messages about a connected socket are told. */
const REFUSALS: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EACCES']);

export class UdpProxy implements ProxyPort, RoomMember {
  readonly picker: EndpointPicker;
  readonly #idleMs: number;
  readonly #conversations: Conversations<Conversation>;
  readonly #room: ConversationRoom;
  readonly #counts: ProxyCounts = { accepted: 0, active: 0, moved: 0, failed: 0, limited: 0 };
  #server: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PickerOptions, room: ConversationRoom, idleMs = IDLE_MS) {
    this.picker = new EndpointPicker(options);
    this.#idleMs = idleMs;
    this.#conversations = new Conversations(idleMs);
    this.#room = room;
  }

  listen(address: string, port: number): Promise<number> {
    const server = newSocket(address);
    return new Promise((done, fail) => {
      const refused = (error: Error): void => {
        server.close();
        fail(error);
      };
      server.once('error', refused);
      server.bind({ address, port, exclusive: true }, () => {
        server.off('error', refused);
        server.on('error', () => this.#counts.failed++);
        server.on('message', (datagram, client) => this.#fromClient(datagram, client));
        this.#server = server;
        this.#room.join(this);
        this.#timer = setInterval(() => this.#look(), Math.min(LOOK_MS, this.#idleMs)).unref();
        done(server.address().port);
      });
    });
  }

  update(targets: readonly Target[]): void {
    this.picker.update(targets);
    for (const conversation of [...this.#conversations.values()]) {
      if (!this.picker.has(conversation.choice.id)) this.#end(conversation);
    }
  }

  counts(): ProxyCounts {
    return { ...this.#counts };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#room.leave(this);
    this.#server?.close();
    this.#server = undefined;
    for (const conversation of [...this.#conversations.values()]) this.#end(conversation);
  }

  abort(): void {
    this.close();
  }

  oldestUseMs(): number | undefined {
    return this.#conversations.oldest()?.usedAtMs;
  }

  endOldest(): void {
    const oldest = this.#conversations.oldest();
    if (oldest) this.#end(oldest);
  }

  #fromClient(datagram: Buffer, client: RemoteInfo): void {
    const key = `${client.address} ${client.port}`;
    const conversation = this.#conversations.get(key) ?? this.#begin(key, client);
    if (conversation === undefined) return;
    const now = Date.now();
    this.#conversations.touch(key, conversation, now);
    const kept = conversation.unanswered.add(datagram, now);
    const { socket } = conversation;
    if (socket === undefined) return;
    if (conversation.connected) this.#toEndpoint(conversation, socket, datagram);
    // What is kept goes with the others once it is connected.
    else if (!kept) socket.once('connect', () => this.#toEndpoint(conversation, socket, datagram));
  }

  /** Nothing where the service has no endpoint (any more). */
  #begin(key: string, client: RemoteInfo): Conversation | undefined {
    const choice = this.picker.first(client.address);
    if (choice === undefined) {
      this.#counts.failed++;
      return undefined;
    }
    if (this.#room.enter()) this.#counts.limited++;
    this.#counts.accepted++;
    this.#counts.active++;
    const conversation: Conversation = {
      key,
      client,
      choice,
      socket: undefined,
      connected: false,
      usedAtMs: 0,
      made: 0,
      unanswered: new Unanswered(this.#room.unansweredBytes),
    };
    this.#open(conversation);
    return conversation;
  }

  #open(conversation: Conversation): void {
    const { choice } = conversation;
    const { address, port } = choice.target;
    const socket = newSocket(address);
    conversation.socket = socket;
    choice.counts.connections++;
    choice.counts.active++;
    socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(conversation, socket, error));
    socket.on('message', (datagram) => this.#fromEndpoint(conversation, socket, datagram));
    socket.once('connect', () => {
      if (conversation.socket !== socket) return;
      conversation.connected = true;
      for (const datagram of conversation.unanswered.young(Date.now()))
        this.#toEndpoint(conversation, socket, datagram);
    });
    socket.connect(port, address);
  }

  #shut(conversation: Conversation): void {
    if (conversation.socket === undefined) return;
    conversation.socket.close();
    conversation.socket = undefined;
    conversation.connected = false;
    conversation.choice.counts.active--;
  }

  #end(conversation: Conversation): void {
    this.#shut(conversation);
    this.#conversations.delete(conversation.key);
    this.#counts.active--;
    conversation.unanswered.clear();
    this.#room.exit();
  }

  #toEndpoint(conversation: Conversation, socket: Socket, datagram: Uint8Array): void {
    if (conversation.socket !== socket) return;
    socket.send(datagram, (error) => {
      if (error) this.#failed(conversation, socket, error);
    });
  }

  #fromEndpoint(conversation: Conversation, socket: Socket, datagram: Buffer): void {
    if (conversation.socket !== socket) return;
    conversation.made = 0;
    conversation.unanswered.clear();
    this.#conversations.touch(conversation.key, conversation, Date.now());
    const { address, port } = conversation.client;
    // A client that has gone, or one datagram too many for its socket, is no error of anybody here.
    this.#server?.send(datagram, port, address, () => {});
  }

  #failed(conversation: Conversation, socket: Socket, error: NodeJS.ErrnoException): void {
    if (conversation.socket !== socket) return;
    const refused = REFUSALS.has(error.code);
    // One datagram's own fault (larger than a packet can be); a socket that could not even be made is another matter.
    if (!refused && conversation.connected) return;
    conversation.choice.counts.failures++;
    conversation.made++;
    const next = this.picker.next(conversation.choice);
    this.#shut(conversation);
    if (!refused || next === undefined || !triesAgain(conversation.made, false, this.picker.size)) {
      this.#counts.failed++;
      return this.#end(conversation);
    }
    this.#counts.moved++;
    conversation.choice = next;
    this.#open(conversation);
  }

  #look(): void {
    const now = Date.now();
    for (const conversation of this.#conversations.expired(now)) this.#end(conversation);
    for (const conversation of this.#conversations.values()) conversation.unanswered.age(now);
  }
}

/** Addresses only: nothing is looked up, so that a datagram never waits for a resolver. */
function newSocket(address: string): Socket {
  const family = isIPv6(address) ? 6 : 4;
  return createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    lookup: (host, _options, done) => done(null, host, family),
  });
}
