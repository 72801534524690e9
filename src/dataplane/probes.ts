/**
 * Connections whose other end is to be asked whether it is there, at the end of a vector (ending.ts). What finds no
 * room comes up again with the next sweep of the flow table.
 */
const MOST_PROBES = 256;

export class Probes {
  /** Which direction of which connection: its record, and the serial by which the connection is known again. */
  readonly records = new Int32Array(MOST_PROBES);
  readonly serials = new Int32Array(MOST_PROBES);
  count = 0;

  add(record: number, serial: number): void {
    if (this.count === MOST_PROBES) return;
    this.records[this.count] = record;
    this.serials[this.count] = serial;
    this.count++;
  }
}
