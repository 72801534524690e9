/**
 * `weft image NAME …`: the programs that stand for images in pods (docs/images.md). Apart from the other commands,
 * so that a pod does not wait for the words of all of them to be read.
 */

/** Resolves with the exit code. */
export async function runImageProgram([name, ...args]: readonly string[]): Promise<number> {
  try {
    if (name === 'nginx') {
      const { serveNginx } = await import('../lab/programs/nginx.ts');
      await serveNginx();
      return 0;
    }
    if (name === 'agnhost') {
      const { agnhost } = await import('../lab/programs/agnhost.ts');
      return await agnhost(args);
    }
    if (name === 'hello') {
      const { serveHello } = await import('../lab/programs/hello.ts');
      await serveHello(args[0] ?? '');
      return 0;
    }
    console.error(`weft image: ${name ?? '(none)'} is not among nginx, agnhost, hello`);
    return 2;
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`);
    return 1;
  }
}
