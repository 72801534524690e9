/** What the relay does with a proxy port, whatever its protocol. */
import type { EndpointPicker, Target } from './endpoint-picker.ts';

export interface ProxyCounts {
  /** Connections, or UDP conversations, that clients began. */
  accepted: number;
  active: number;
  /** Attempts that went on to the next endpoint. */
  moved: number;
  /** Clients that no endpoint answered. */
  failed: number;
  /** Clients turned away because as many as are allowed are open (UDP: that ended another for it). */
  limited: number;
}

export interface ProxyPort {
  readonly picker: EndpointPicker;
  /** Port 0: any. Rejects with the system's error where it cannot be had. */
  listen(address: string, port: number): Promise<number>;
  update(targets: readonly Target[]): void;
  counts(): ProxyCounts;
  /** Takes no more clients. */
  close(): void;
  /** Also ends what goes on. */
  abort(): void;
}
