/**
 * Notices when what the underlay's device can do changes, and when the underlay's address leaves this host (a container
 * taken off its network, a cable's device gone) and when it comes back. The kernel forgets with a device the routes
 * through it, so that they are wanted anew then.
 */
import { networkInterfaces } from 'node:os';

const LOOK_MS = 1000;

export class UnderlayWatch {
  readonly #lost: () => void;
  readonly #back: () => void;
  readonly #changed: () => void;
  readonly #traits: () => string;
  readonly #addresses: () => readonly string[];
  #address = '';
  #isGone = false;
  #seen = '';
  #timer: NodeJS.Timeout | undefined;

  /**
   * `lost` and `back` are called once each time it goes and comes, `changed` each time that `traits` says something
   * else than before.
   */
  constructor(
    events: { lost: () => void; back: () => void; changed?: () => void },
    addresses = ownAddresses,
    traits = () => '',
  ) {
    this.#lost = events.lost;
    this.#back = events.back;
    this.#changed = events.changed ?? (() => {});
    this.#traits = traits;
    this.#addresses = addresses;
  }

  /** From now on, this address, which is there. */
  follow(address: string): void {
    if (address !== this.#address) this.#isGone = false;
    this.#address = address;
    this.#seen = this.#traits();
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
  }

  look(): void {
    const gone = !this.#addresses().includes(this.#address);
    const traits = this.#traits();
    if (!gone && traits !== this.#seen) this.#changed();
    this.#seen = traits;
    if (gone === this.#isGone) return;
    this.#isGone = gone;
    if (gone) this.#lost();
    else this.#back();
  }

  /** As a sentence; '' while it is there. */
  problem(): string {
    if (!this.#isGone) return '';
    return `the InternalIP ${this.#address} has left this host: its pods reach no other host until it is back`;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Of all devices. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((each) => each.address));
}
