/** How a command fails: what people read on standard error of whatever was thrown. */

interface Told {
  message: string;
  details?: readonly string[];
  remedy?: string;
}

/** `weft: …` with the lines that belong to it; a stack only when WEFT_DEBUG asks for it. */
export function describeFailure(error: unknown): string {
  const told: Told = error instanceof Error ? error : { message: String(error) };
  const remedy = told.remedy ? `: ${told.remedy}` : '';
  const lines = [`weft: ${told.message}${remedy}`, ...(Array.isArray(told.details) ? (told.details as string[]) : [])];
  if (process.env.WEFT_DEBUG && error instanceof Error && error.stack) lines.push(error.stack);
  return lines.join('\n');
}
