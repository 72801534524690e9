/**
 * Domain names: between the wire and the text by which the zone knows them. Text has no final dot; the root is ''.
 * Octets that would be ambiguous in text are escaped (RFC 1035 section 5.1), so a label that holds a dot can never
 * pass for two labels. Names compare without regard to ASCII case (RFC 4343): `key` is the lower-case text.
 */
export const LABEL_BYTES = 63;
/** The whole name on the wire: length octets and the root's zero included (RFC 1035 section 2.3.4). */
export const NAME_BYTES = 255;
const DOT = 0x2e;
const BACKSLASH = 0x5c;

export interface WireName {
  /** In the case it came in. */
  text: string;
  key: string;
  /** Offset behind the name. */
  end: number;
}

/**
 * Reads an uncompressed name at `offset`; nothing when it is cut short, too long, or has a pointer or reserved label
 * type. A question's name is the first of its message: there is nothing that a pointer could rightly point at.
 */
export function readName(bytes: Uint8Array, offset: number): WireName | undefined {
  const labels: string[] = [];
  let at = offset;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > LABEL_BYTES) return undefined;
    if (at + 1 + length - offset > NAME_BYTES || at + 1 + length > bytes.length) return undefined;
    if (length === 0) break;
    labels.push(labelText(bytes, at + 1, length));
    at += 1 + length;
  }
  const text = labels.join('.');
  return { text, key: text.toLowerCase(), end: at + 1 };
}

function labelText(bytes: Uint8Array, start: number, length: number): string {
  let text = '';
  for (let i = start; i < start + length; i++) {
    const octet = bytes[i] ?? 0;
    if (octet === 0x2e || octet === 0x5c) text += `\\${String.fromCharCode(octet)}`;
    else if (octet < 0x21 || octet > 0x7e) text += `\\${String(octet).padStart(3, '0')}`;
    else text += String.fromCharCode(octet);
  }
  return text;
}

/** True when the text can be written as a name: labels of 1 to 63 printable ASCII octets, 255 in all, no escapes. */
export function isWritableName(text: string): boolean {
  if (text === '') return true;
  if (text.length + 2 > NAME_BYTES) return false;
  let label = 0;
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i);
    if (octet === DOT) {
      if (label === 0) return false;
      label = 0;
    } else if (octet < 0x21 || octet > 0x7e || octet === BACKSLASH || ++label > LABEL_BYTES) {
      return false;
    }
  }
  return label > 0;
}

/** The text without one final dot, in lower case: how the zone spells names that people wrote. */
export function canonicalName(text: string): string {
  return (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
}

/** True for the name itself and for all names under it; both as keys. The root is above everything. */
export function isWithin(key: string, ancestor: string): boolean {
  return ancestor === '' || key === ancestor || key.endsWith(`.${ancestor}`);
}
