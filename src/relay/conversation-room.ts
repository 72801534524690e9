/**
 * What the UDP conversations of all proxy ports of a host share: how many there may be, and how many bytes may wait
 * for an answer. Where there is no room, the conversation that was silent longest ends, whichever port it is of: no
 * client can keep others out for long.
 */
import { Bound } from './bound.ts';

/** A proxy port. */
export interface RoomMember {
  /** When its longest silent conversation was last heard of; undefined where it has none. */
  oldestUseMs(): number | undefined;
  endOldest(): void;
}

const MOST_UNANSWERED_BYTES = 16 << 20;

export class ConversationRoom {
  readonly unansweredBytes = new Bound(MOST_UNANSWERED_BYTES);
  readonly #count: Bound;
  readonly #members = new Set<RoomMember>();

  constructor(limit: number) {
    this.#count = new Bound(limit);
  }

  join(member: RoomMember): void {
    this.#members.add(member);
  }

  leave(member: RoomMember): void {
    this.#members.delete(member);
  }

  /** True where another one had to end for the new one. */
  enter(): boolean {
    if (this.#count.take()) return false;
    let oldest: RoomMember | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const member of this.#members) {
      const used = member.oldestUseMs() ?? Number.POSITIVE_INFINITY;
      if (used >= least) continue;
      least = used;
      oldest = member;
    }
    // It gives its place back as it ends.
    oldest?.endOldest();
    this.#count.take();
    return true;
  }

  exit(): void {
    this.#count.release();
  }
}
