/**
 * Memory for the dataplane's own large tables: on huge pages where the kernel gives them, and aligned to them, so that
 * no record lies across two cache lines. What is taken beyond the table is never touched, and so costs no memory.
 */
import { loadNativeAddon } from './native-addon.ts';

const HUGE_PAGE_BYTES = 2 << 20;
/** Smaller tables fit in the processor's caches, whatever their pages are. */
const LARGE_BYTES = HUGE_PAGE_BYTES / 2;

/** 32-bit words, all 0. */
export function allocateWords(words: number): Int32Array {
  const bytes = words * Int32Array.BYTES_PER_ELEMENT;
  if (bytes < LARGE_BYTES) return new Int32Array(words);
  // Whole pages, and one more, for the memory may begin anywhere.
  const memory = new Uint8Array((Math.ceil(bytes / HUGE_PAGE_BYTES) + 1) * HUGE_PAGE_BYTES);
  return new Int32Array(memory.buffer, loadNativeAddon().adviseHugePages(memory), words);
}
